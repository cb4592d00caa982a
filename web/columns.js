// Lanes that have a value in every pixel: what sounded, how deep the buffer was, what the far end made of it.
// Knows no record: it reads the looks of a scene.

import { KINDS, NO_DEPTH } from './frames.js';
import { decibels } from './sounded.js';
import { visible } from './scene.js';

/** Quieter than this (dBFS) is drawn as silence. */
const QUIET = -60;
/** Axis of the depth lane: a round value above what is shown. */
const TOPS = [100, 200, 400, 800, 1_200, 2_000, 4_000, 8_000, 16_000, 65_535];
/** Frames of lag at the top of the lane: a second; more is a flat line at the top, and said in words. */
const MOST_LAG = 50;

const loud = (level) => Math.max(0, Math.min(1, (decibels(level) - QUIET) / -QUIET));

/** RMS per frame, mirrored, in the colour of its engine; a cut red, silence thin, a hole amber. */
export function audio(pen, lane, scene) {
  const middle = lane.y + lane.height / 2;
  const most = lane.height / 2 - 1;
  const layers = new Map();
  const put = (colour, x, half) => {
    if (!layers.has(colour)) layers.set(colour, []);
    layers.get(colour).push(x, middle - half, 1, 2 * half);
  };
  scene.looks.forEach((look, at) => {
    if (!look.kinds) return;
    const x = scene.left + at;
    if (look.kinds & KINDS.fill) put(pen.palette.fill, x, most * 0.5);
    if (look.kinds & KINDS.voice) put(pen.palette[`engine${Math.max(0, 31 - Math.clz32(look.engines))}`], x, Math.max(0.75, loud(look.level) * most));
    else if (look.kinds & KINDS.tail) put(pen.palette.faint, x, 0.5);
    if (look.kinds & KINDS.cut) put(pen.palette.cut, x, most);
  });
  for (const [colour, flat] of layers) pen.rects(flat, colour, colour === pen.palette.fill ? 0.5 : 1);
}

/** The round top of the depth axis for a scene (ms). */
export function depthTop(scene) {
  const deepest = scene.looks.reduce((most, look) => Math.max(most, look.high), 60);
  return TOPS.find((one) => one >= deepest) ?? TOPS.at(-1);
}

/** Least and most depth of each pixel, over the comfort band. */
export function depth(pen, lane, scene) {
  const top = depthTop(scene);
  const bottom = lane.y + lane.height;
  const y = (ms) => bottom - (Math.min(ms, top) / top) * (lane.height - 2);
  const band = visible(scene, scene.track.lanes.pace, { least: 4, ends: () => undefined }).flatMap(({ row, x }, at, all) => {
    const to = all[at + 1]?.x ?? Math.min(scene.right, scene.x(scene.end));
    return row.high > 0 && to > x ? [x, y(row.high), to - x, Math.max(1, y(row.low) - y(row.high))] : [];
  });
  pen.rects(band, pen.palette.band, 0.14);
  const body = [];
  const upper = [];
  scene.looks.forEach((look, at) => {
    const x = scene.left + at;
    if (look.low === NO_DEPTH) {
      // two neighbours that were measured belong together though frames between them were not
      if (at && scene.looks[at - 1].low === NO_DEPTH) upper.push(NaN, NaN);
      return;
    }
    if (!scene.far) body.push(x, y(look.high), 1, Math.max(1, bottom - y(look.high)));
    upper.push(x + 0.5, y(look.high));
    // less than a pixel of difference is a line, more is a range that was lived through within the pixel
    if (y(look.low) - y(look.high) > 1.5) upper.push(x + 0.5, y(look.low));
  });
  pen.rects(body, pen.palette.depth, 0.1);
  pen.line(upper, pen.palette.depth, 1.4);
  for (const part of [0.5, 1]) pen.tag(String(Math.round(top * part)), scene.left + 3, y(top * part) + (part === 1 ? 6 : 0));
}

/** How long after a frame was sent it was played (ms, as a line), and where the far end made sound up (as bars). */
export function heard(pen, lane, scene) {
  const bottom = lane.y + lane.height;
  const line = [];
  const made = [];
  let silent = 0;
  scene.looks.forEach((look, at) => {
    const x = scene.left + at;
    if (look.concealed) made.push(x, bottom - Math.min(lane.height, 2 + (look.concealed / 960) * 5), Math.max(2, Math.min(6, scene.scale)), Math.min(lane.height, 2 + (look.concealed / 960) * 5));
    if (look.lag) {
      // reports come five times a second; a second without any is a hole
      if (silent * (1 / scene.scale) > 75) line.push(NaN, NaN);
      line.push(x, bottom - Math.min(1, (look.lag - 1) / MOST_LAG) * (lane.height - 2));
      silent = 0;
    } else silent += 1;
  });
  pen.rects(made, pen.palette.trouble, 0.85);
  pen.line(line, pen.palette.heard, 1.4);
}

/** The whole session in one strip: loudness above, the depth as a shade below. */
export function strip(pen, { y, height }, scene) {
  audio(pen, { y, height: height - 6 }, scene);
  const top = depthTop(scene);
  const flat = scene.looks.flatMap((look, at) => (look.low === NO_DEPTH ? [] : [scene.left + at, y + height - 5, 1, Math.max(1, 5 * (look.low / top))]));
  pen.rects(flat, pen.palette.depth, 0.5);
}
