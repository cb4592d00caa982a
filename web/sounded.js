// From the log's `frames` records to columns: what left in each frame, how loud, and how deep the buffer was.
// Knows no lane; it is told what was written and hears what was read.

import { KINDS } from './frames.js';

const FRAME = 960;
const PER_MS = 48;
/** A record holds a second; one that claims more than ten minutes is nonsense. */
const MOST_AT_ONCE = 30_000;
/** Facts of the buffer between two records: a second has a few dozen. */
const MOST_WAITING = 4_096;
/** Where a log (of schema 1) has no levels, speech is drawn this loud. */
const UNMEASURED = 200;

/** Bytes of base64, or none. @param {unknown} text @returns {Uint8Array} */
export function bytesOf(text) {
  if (typeof text !== 'string') return new Uint8Array(0);
  try {
    return Uint8Array.from(atob(text), (one) => one.charCodeAt(0));
  } catch {
    return new Uint8Array(0);
  }
}

/** Half-dB steps above -127.5 dBFS. @param {number} level 0 is digital silence @returns {number} */
export const decibels = (level) => (level ? level / 2 - 127.5 : -Infinity);

/**
 * @param {{frames: ReturnType<import('./frames.js').createFrames>, engineOf: (chunk: number) => number, chunkSounds: (chunk: number, from: number, to: number) => void}} given
 */
export function createSounded({ frames, engineOf, chunkSounds }) {
  let written = 0;
  /** What is known of the buffer from a frame on: an absolute position, or ms above the frame that is read. */
  let waiting = [];

  function knows(fact) {
    waiting.push(fact);
    if (waiting.length > MOST_WAITING) waiting = waiting.slice(-MOST_WAITING / 2);
  }

  function settle(frame, position) {
    let passed = 0;
    while (passed < waiting.length && waiting[passed].frame <= frame) {
      const { at, above } = waiting[passed];
      written = at ?? position + above * PER_MS;
      passed += 1;
    }
    if (passed) waiting.splice(0, passed);
  }

  function run([start, name, position, spans], end, from, levels) {
    const kind = KINDS[name] ?? 0;
    const voiced = kind === KINDS.voice || kind === KINDS.cut;
    const chunk = voiced && spans.length ? spans.at(-1)[0] : -1;
    for (const [one] of spans) chunkSounds(one, start, end);
    const engine = chunk < 0 ? -1 : engineOf(chunk);
    for (let frame = start; frame < end; frame += 1) {
      const read = position + (kind === KINDS.voice ? (frame - start) * FRAME : 0);
      settle(frame, read);
      // pieces sound before their chunk is in whole: what is read was written
      if (kind === KINDS.voice) written = Math.max(written, read + FRAME);
      frames.sounded(frame, kind, levels[frame - from] ?? (voiced ? UNMEASURED : 0), engine, chunk);
      if (!frames.hasDepth(frame)) frames.deep(frame, (written - read) / PER_MS);
    }
  }

  return {
    /** So many samples were written in all. */
    written: (frame, position) => knows({ frame, at: position }),
    /** So many ms lay in the buffer. */
    lay: (frame, ms) => knows({ frame, above: ms }),

    /** @param {Record<string, any>} record of kind `frames` @returns {boolean} it was one */
    take(record) {
      const { from, to, runs } = record;
      if (!Number.isInteger(from) || !Number.isInteger(to) || from < 0 || to <= from || to - from > MOST_AT_ONCE) return false;
      const levels = bytesOf(record.level);
      const sane = (Array.isArray(runs) ? runs : []).filter((one) => Array.isArray(one) && one[0] >= from && one[0] < to && Array.isArray(one[3]));
      sane.forEach((one, at) => run(one, Math.min(to, sane[at + 1]?.[0] ?? to), from, levels));
      return true;
    },
  };
}
