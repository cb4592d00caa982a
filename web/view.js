// Which frames are on the screen: a window that follows, pauses, moves and widens.
// Pure: a view and what is wanted in, a view out. The axis is frames, never a clock.

/** A second is the narrowest view, and a call shorter than ten shows ten. */
export const LEAST = 50;
export const BEGINNING = 500;
/** Of the width that stays empty in front of what happens now. */
const AHEAD = 0.03;

/**
 * @typedef {{from: number, span: number, follow: boolean}} View in frames; `from` may have a fraction
 * @typedef {{first: number, end: number}} Extent
 */

/** A minute: what one sees first. @type {View} */
export const OPENING = Object.freeze({ from: 0, span: 3_000, follow: true });

const lasts = (extent) => Math.max(BEGINNING, extent.end - extent.first);

/** @param {View} view @param {Extent} extent @returns {View} within what there is, at its end while it follows */
export function settle(view, extent) {
  const span = Math.min(Math.max(LEAST, view.span), lasts(extent) / (1 - AHEAD));
  const newest = extent.end - span * (1 - AHEAD);
  const from = view.follow ? newest : Math.min(view.from, newest);
  return { from: Math.max(extent.first, from), span, follow: view.follow };
}

/** @param {View} view @param {number} frames later, or earlier where negative */
export function pan(view, extent, frames) {
  const moved = settle({ ...view, from: view.from + frames, follow: false }, extent);
  // who pushes against the end wants to see what comes
  return frames > 0 && moved.from < view.from + frames - 1 && !view.follow ? { ...moved, follow: view.follow } : moved;
}

/** @param {View} view @param {number} factor above 1 shows less @param {number} [around] the frame that stays where it is */
export function zoom(view, extent, factor, around = view.follow ? extent.end : view.from + view.span / 2) {
  const span = Math.min(Math.max(LEAST, view.span / factor), lasts(extent) / (1 - AHEAD));
  const share = (around - view.from) / view.span;
  return settle({ from: around - share * span, span, follow: view.follow }, extent);
}

/** The frame comes into view, in the middle, if it is not there. */
export function reveal(view, extent, frame) {
  if (frame >= view.from && frame < view.from + view.span * 0.97) return view.follow ? { ...view, follow: false } : view;
  return settle({ ...view, from: frame - view.span / 2, follow: false }, extent);
}

export const follow = (view, extent) => settle({ ...view, follow: true }, extent);
export const everything = (view, extent) => settle({ from: extent.first, span: lasts(extent), follow: view.follow }, extent);

/**
 * Frames to write at the axis: round numbers, about `many`.
 * @param {View} view @param {number} many @returns {number[]}
 */
export function ticks(view, many) {
  const rough = view.span / Math.max(1, many);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((one) => one * power).find((one) => one >= rough && Number.isInteger(one)) ?? Math.ceil(rough);
  const found = [];
  for (let frame = Math.ceil(view.from / step) * step; frame < view.from + view.span; frame += step) found.push(frame);
  return found;
}

/** A frame as minutes and seconds of the session: a help for people, never the axis. */
export function minutes(frame) {
  const seconds = Math.floor(frame / 50);
  const two = (value) => String(value).padStart(2, '0');
  const hours = Math.floor(seconds / 3_600);
  return hours ? `${hours}:${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}` : `${Math.floor(seconds / 60)}:${two(seconds % 60)}`;
}

/** Numbers with thin spaces: 179 950. */
export const grouped = (frame) => String(Math.round(frame)).replace(/\B(?=(\d{3})+$)/g, ' ');
