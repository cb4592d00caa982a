// The whole picture of a scene: lanes, axis, cursor, playhead. And the strip of the whole session.
// Knows no DOM: a pen in, strokes out.

import { AXIS, stacked } from './lanes.js';
import { strip } from './columns.js';
import { grouped, minutes, ticks } from './view.js';

const LANES = stacked();
const BOTTOM = LANES.at(-1).y + LANES.at(-1).height;
/** A label of the axis needs this much (px). */
const LABEL = 96;

function axis(pen, scene) {
  const many = Math.max(2, Math.floor(scene.width / LABEL));
  const rules = [];
  for (const frame of ticks(scene.view, many)) {
    const x = scene.x(frame);
    rules.push(Math.round(x), 4, 1, BOTTOM);
    if (x > scene.right - 28 || x < scene.left + 6) continue;
    pen.text(grouped(frame), x, BOTTOM + 10, { align: 'center', colour: pen.palette.soft });
    pen.text(minutes(frame), x, BOTTOM + 22, { align: 'center', colour: pen.palette.faint, size: 9 });
  }
  pen.rects(rules, pen.palette.line, 0.6);
}

function upright(pen, scene, frame, colour, width) {
  const x = scene.x(frame);
  if (x >= scene.left && x <= scene.right) pen.rects([Math.round(x), 2, width, BOTTOM], colour, 0.8);
}

/**
 * @param {ReturnType<import('./pen.js').createPen>} pen @param {ReturnType<import('./scene.js').createScene>} scene
 * @param {{cursor?: number | null, playhead?: number | null}} [at]
 */
export function drawScene(pen, scene, { cursor = null, playhead = null } = {}) {
  axis(pen, scene);
  for (const lane of LANES) {
    pen.rects([scene.left, lane.y + lane.height + 3, scene.width, 1], pen.palette.line, 0.5);
    lane.paint(pen, lane, scene);
    if (scene.narrow) pen.tag(lane.label, scene.right - lane.label.length * 5.4 - 4, lane.y + 6);
    else pen.text(lane.label, scene.left - 10, lane.y + lane.height / 2, { align: 'right', weight: 550 });
  }
  if (cursor !== null) upright(pen, scene, cursor, pen.palette.ink, 1);
  if (playhead !== null) upright(pen, scene, playhead, pen.palette.accent, 2);
}

/** @param {ReturnType<import('./scene.js').createScene>} scene of everything @param {import('./view.js').View} view what the picture above shows */
export function drawStrip(pen, scene, view, height, playhead = null) {
  strip(pen, { y: 4, height: height - 8 }, scene);
  const from = Math.max(scene.left, scene.x(view.from));
  const to = Math.min(scene.right, Math.max(from + 4, scene.x(view.from + view.span)));
  pen.rects([scene.left, 0, from - scene.left, height, to, 0, scene.right - to, height], pen.palette.card, 0.62);
  pen.rects([from, 0, to - from, 1.5, from, height - 1.5, to - from, 1.5, from, 0, 2, height, to - 2, 0, 2, height], pen.palette.accent, 0.9);
  if (playhead !== null) pen.rects([scene.x(playhead), 0, 2, height], pen.palette.accent);
}

/** The mark or row under a point of the picture, within `reach` px: a row of the lane, or null. */
export function hit(scene, x, y, reach = 9) {
  const lane = LANES.find((one) => y >= one.y - 3 && y < one.y + one.height + 3);
  const rows = lane && scene.track.lanes[lane.name];
  if (!rows?.length || lane.name === 'words') return null;
  const frame = scene.frameAt(x);
  const near = [rows.before(frame), rows.after(frame)].filter((row) => row?.group && Math.abs(scene.x(row.frame) - x) <= reach);
  return near.sort((a, b) => Math.abs(a.frame - frame) - Math.abs(b.frame - frame))[0] ?? null;
}
