// Lanes of things that happened at a frame or lasted from one to another.
// Knows no record's fields but those of a row; at most one primitive or two for each few pixels.

import { visible } from './scene.js';

const MIDDLE = 0.5;
/** A mark needs this much room (px) to be told from its neighbour. */
const ROOM = 9;
/** Narrower than this (px) a span holds no words. */
const WORDY = 26;

const sounding = (row) => (row.first >= 0 ? row.first : row.frame);
const sounded = (row) => (row.last >= 0 ? row.last : row.to ?? undefined);

/** Marks at their frames; several in one place are one with a number. */
function marks(pen, lane, scene, rows, { words = false } = {}) {
  const y = lane.y + lane.height * MIDDLE;
  const found = visible(scene, rows, { least: ROOM });
  found.forEach(({ row, x, many }, at) => {
    pen.mark(row.group, x, y);
    const room = (found[at + 1]?.x ?? scene.right) - x - 10;
    if (many > 1) pen.clipped(`×${many}`, x + 7, y, room, { size: 10 });
    else if (words) pen.clipped(row.text, x + 8, y, room, { size: 11 });
  });
  return found;
}

function bars(pen, y, height, found, colour, alpha) {
  pen.rects(found.flatMap(({ x, to }) => [x, y, Math.max(1.5, to - x), height]), colour, alpha);
}

/** Text as it came in. */
export const inputs = (pen, lane, scene) => marks(pen, lane, scene, scene.track.lanes.inputs, { words: true });

/** Words where they left; where there is no room for words, ticks. */
export function words(pen, lane, scene) {
  const { lanes, source } = scene.track;
  const found = visible(scene, lanes.words, { least: 4, ends: () => undefined });
  const y = lane.y + lane.height * MIDDLE;
  const ticks = [];
  found.forEach(({ row, x, many }, at) => {
    const room = (found[at + 1]?.x ?? scene.right) - x - 3;
    ticks.push(x, lane.y + 4, 1, lane.height - 8);
    if (many === 1 && room > WORDY * 0.6) pen.clipped(source.slice(row.utterance, row.from, row.to), x + 4, y, room, { size: 12, colour: pen.palette.ink });
  });
  pen.rects(ticks, pen.palette.text, 0.55);
}

/** Above, while a window is rendered; below, where its sound is, with the window's place in the engine's own units. */
export function windows(pen, lane, scene) {
  const rows = scene.track.lanes.chunks;
  bars(pen, lane.y, 5, visible(scene, rows, { least: 4 }), pen.palette.faint, 0.9);
  const found = visible(scene, rows, { least: 4, begins: sounding, ends: sounded }).filter(({ row }) => row.first >= 0);
  for (const even of [0, 1]) {
    bars(pen, lane.y + 8, lane.height - 8, found.filter(({ row }) => row.id % 2 === even), pen.palette.ladder, even ? 0.34 : 0.2);
  }
  for (const { row, x, to, many } of found) {
    if (many === 1 && to - x > WORDY && row.window) pen.clipped(row.range ? `${row.window[0]}–${row.window[1]} of “${row.text}”` : row.window.join('–'), x + 4, lane.y + 8 + (lane.height - 8) / 2, to - x - 6, { size: 10, colour: pen.palette.ink });
  }
}

/** Chunk sizes in steps of the ladder: equal steps, because it is a ladder and no scale. */
export function ladder(pen, lane, scene) {
  const rows = scene.track.lanes.chunks;
  const found = visible(scene, rows, { least: 2 }).filter(({ row }) => row.rung !== null);
  const { rungs } = scene.track.about;
  const steps = Math.max(7, rungs.length);
  const y = (rung) => lane.y + lane.height - 3 - (Math.min(rung, steps - 1) / (steps - 1)) * (lane.height - 6);
  const every = lane.height / steps < 10 ? 2 : 1;
  pen.rects(Array.from({ length: steps }, (_, rung) => [scene.left, Math.round(y(rung)), scene.width, 1]).flat(), pen.palette.line, 0.7);
  const line = [];
  found.forEach(({ row, x }, at) => {
    if (at) line.push(x, y(found[at - 1].row.rung));
    line.push(x, y(row.rung));
  });
  const last = found.at(-1);
  if (last) line.push(Math.max(last.x, Math.min(scene.right, scene.x(scene.end))), y(last.row.rung));
  pen.line(line, pen.palette.ladder, 1.8);
  for (let rung = 0; rung < steps; rung += every) pen.tag(rungs[rung] ? String(Math.round(rungs[rung])) : String(rung), scene.left + 3, y(rung));
  const room = scene.width / Math.max(1, found.length);
  if (room > 6) pen.rects(found.flatMap(({ row, x }) => [x - 2, y(row.rung) - 2, 4, 4]), pen.palette.ladder);
}

/** Swaps with their seam, settings that took effect, engines that got ready. */
export function engine(pen, lane, scene) {
  const swaps = visible(scene, scene.track.lanes.engine, { least: 1 }).filter(({ row }) => row.kind === 'swap');
  bars(pen, lane.y + 2, lane.height - 4, swaps.map((one) => ({ x: one.x, to: Math.max(one.to, one.x + 3) })), pen.palette.swap, 0.5);
  marks(pen, lane, scene, scene.track.lanes.engine, { words: true });
}

/** Who has the floor: yielded and paused spans, barge-ins, pauses, ducks. */
export function floor(pen, lane, scene) {
  const spans = visible(scene, scene.track.lanes.held, { least: 1 });
  for (const group of ['cut', 'hold', 'priming']) {
    bars(pen, lane.y + lane.height - 5, 4, spans.filter(({ row }) => row.group === group), pen.palette[group === 'priming' ? 'chunk' : group], 0.6);
  }
  marks(pen, { ...lane, height: lane.height - 5 }, scene, scene.track.lanes.floor);
}

/** While the caller speaks. */
export function mic(pen, lane, scene) {
  bars(pen, lane.y + 4, lane.height - 8, visible(scene, scene.track.lanes.mic, { least: 1 }), pen.palette.mic, 0.7);
}

/** Holes, faults, an engine that is not well, a log that misses records. */
export function trouble(pen, lane, scene) {
  const lasting = visible(scene, scene.track.lanes.trouble, { least: 1 }).filter(({ row, to, x }) => row.kind === 'fill' && to - x > 1);
  bars(pen, lane.y + 3, lane.height - 6, lasting, pen.palette.fill, 0.35);
  marks(pen, lane, scene, scene.track.lanes.trouble);
}

/** What a mind's tools do; nothing feeds it yet. */
export function tools(pen, lane, scene) {
  const rows = scene.track.lanes.tools;
  bars(pen, lane.y + 4, lane.height - 8, visible(scene, rows, { least: 1 }), pen.palette.tool, 0.35);
  if (rows.length) marks(pen, lane, scene, rows, { words: true });
  else pen.text('no tool was used', scene.left + 6, lane.y + lane.height * MIDDLE, { size: 11, colour: pen.palette.faint });
}
