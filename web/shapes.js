// Troubles that have a shape: each is looked for in a session's lanes, and named with cause and remedy.
// Pure: reads a track, draws nothing. The thresholds are here, with their reasons.

import { KINDS, NO_DEPTH } from './frames.js';

/** Depth is looked at ten times a second: the buffer does not change faster in a way that matters. */
const STEP = 5;
/** A shape is one that repeats: what happens less often within the time is an accident, and the log shows it anyway. */
export const TEETH = 4;
export const TEETH_WITHIN = 1_500;
/** One frame in reserve is none: the next late chunk is heard. Two, because the log rounds to frames. */
export const PINNED_MS = 40;
/** Five seconds: an engine that only begins slowly has recovered by then. */
export const PINNED_FOR = 250;
export const PINNED_SHARE = 0.6;
/** Holes in ten seconds: one or two are a hiccup of the machine, five are a rate. */
export const COMB = 5;
export const COMB_WITHIN = 500;
/** Growing and halving again within half a minute: finding a size takes one or two, five are a search without end. */
export const CYCLES = 5;
export const CYCLES_WITHIN = 1_500;
/** Sound made up at the far end (samples in one report) below 10 ms is inaudible, and clocks cause it. */
export const CONCEALED = 480;
/** With so much in the buffer (ms) the engine is not to blame. */
export const ENOUGH_MS = 60;
export const REPORTS = 3;
export const REPORTS_WITHIN = 1_500;
/** An echo comes back while the voice has just begun: from a tenth to one and a half seconds after its start. */
export const ECHO_AFTER = [5, 75];
export const ECHOES = 3;
export const ECHOES_WITHIN = 3_000;

/** @typedef {{name: string, title: string, cause: string, remedy: string, frame: number, to: number, many: number}} Finding */

export const SHAPES = Object.freeze({
  sawtooth: {
    title: 'Sawtooth depth',
    cause: 'The buffer fills far above its band in one step and drains below it before the next: the engine delivers in pieces larger than the reserve.',
    remedy: 'Choose “Steady” delivery, or an engine that renders in smaller chunks; a smaller target_chunk asks for them.',
  },
  pinned: {
    title: 'Depth pinned at zero',
    cause: 'The engine renders no faster than it plays; every chunk is late or just in time.',
    remedy: 'Choose a lighter engine or voice, give it more threads or a GPU, or take load off the machine.',
  },
  comb: {
    title: 'Comb of fills',
    cause: 'The voice breaks off again and again: chunks come late by about the same time, as when an engine is stalled at each beginning or the machine is taken away.',
    remedy: 'Look at render_ms of the chunks beside the holes; free the processor, keep the engine warm, or choose another engine.',
  },
  cycle: {
    title: 'Limit cycle of chunk sizes',
    cause: 'Chunks grow, fall too far behind, are halved and grow again: what the engine can sustain lies between two rungs, or something else takes its time now and then.',
    remedy: 'Choose “Steady” delivery, or hold the size by target_chunk; look for what else runs on the machine.',
  },
  conceals: {
    title: 'Depth fine, far end conceals',
    cause: 'The buffer was full and every frame left, yet the browser had to make up sound: packets were lost or late on the way, or the browser was busy.',
    remedy: 'Look at the network (Wi-Fi, VPN, relay) and at the load of the computer that listens; the engine is not the cause.',
  },
  echo: {
    title: 'Echo barge-ins',
    cause: 'The voice is interrupted shortly after it begins, again and again: the microphone hears the loudspeaker.',
    remedy: 'Use headphones or turn the volume down, and leave echo cancellation on; or mute the microphone.',
  },
});

/**
 * The frames at which something happened `many` times within `within` frames: the first such crowd, grown while it goes on.
 * @param {number[]} frames ascending
 */
export function crowd(frames, many, within) {
  let found = null;
  for (let at = many - 1; at < frames.length; at += 1) {
    const begin = at - many + 1;
    if (frames[at] - frames[begin] > within) continue;
    if (found && begin <= found.last) Object.assign(found, { last: at });
    else if (!found) found = { first: begin, last: at };
  }
  return found && { frame: frames[found.first], to: frames[found.last] + 1, many: found.last - found.first + 1 };
}

const rowsOf = (rows, from, to) => {
  const found = [];
  for (let at = rows.place(from), stop = rows.place(to); at < stop; at += 1) found.push(rows.get(at));
  return found;
};

/** Stretches in which the voice should sound and has more to say. */
function stretches(track, from, to) {
  const rows = track.lanes.held;
  const first = rows.before(from);
  return [...(first && first.frame < from ? [first] : []), ...rowsOf(rows, from, to)]
    .filter((row) => row.state === 'SPEAKING')
    .map((row) => [Math.max(from, row.frame), Math.min(to, row.to ?? to)])
    .filter(([begin, end]) => end > begin);
}

function sawtooth(track, spans) {
  const teeth = [];
  for (const [from, to] of spans) {
    let low = false;
    let at = track.lanes.pace.place(from);
    for (let frame = from; frame < to; frame += STEP) {
      while (at + 1 < track.lanes.pace.length && track.lanes.pace.get(at + 1).frame <= frame) at += 1;
      const band = track.lanes.pace.get(at);
      const look = track.frames.look(frame, Math.min(to, frame + STEP));
      if (!band?.high || look.low === NO_DEPTH) continue;
      if (look.low < band.low / 2) low = true;
      else if (low && look.high > band.high * 1.5) {
        teeth.push(frame);
        low = false;
      }
    }
  }
  return crowd(teeth, TEETH, TEETH_WITHIN);
}

function pinned(track, spans) {
  let found = null;
  for (const [from, to] of spans) {
    for (let begin = from; begin + PINNED_FOR <= to; begin += PINNED_FOR) {
      let flat = 0;
      for (let frame = begin; frame < begin + PINNED_FOR; frame += STEP) {
        const look = track.frames.look(frame, frame + STEP);
        // where nothing left at all within speech, nothing was there to leave
        if (look.low <= PINNED_MS || !look.kinds) flat += 1;
      }
      if (flat < (PINNED_SHARE * PINNED_FOR) / STEP) continue;
      found ??= { frame: begin, to: begin, many: 0 };
      Object.assign(found, { to: begin + PINNED_FOR, many: found.many + 1 });
    }
  }
  return found;
}

const comb = (track, from, to) => crowd(rowsOf(track.lanes.trouble, from, to).filter((row) => row.kind === 'fill').map((row) => row.frame), COMB, COMB_WITHIN);

function cycle(track, from, to) {
  let grew = false;
  const turns = [];
  for (const { frame, move } of rowsOf(track.lanes.pace, from, to)) {
    if (move === 'grow') grew = true;
    else if (move === 'halve' && grew) {
      turns.push(frame);
      grew = false;
    } else if (move === 'start') grew = false;
  }
  return crowd(turns, CYCLES, CYCLES_WITHIN);
}

function conceals(track, spans) {
  const reports = [];
  for (const [from, to] of spans) {
    // the browser counts once a second: a report speaks of the second before it, and the beginning of speech always has some
    for (let frame = from + 100; frame + 50 <= to; frame += 50) {
      const { concealed } = track.frames.look(frame, frame + 50);
      if (concealed < CONCEALED) continue;
      let whole = true;
      for (let at = frame - 100; whole && at < frame + 50; at += 1) {
        const { kinds, low } = track.frames.look(at, at + 1);
        whole = kinds === KINDS.voice && low >= ENOUGH_MS;
      }
      if (whole) reports.push(frame);
    }
  }
  return crowd(reports, REPORTS, REPORTS_WITHIN);
}

function echo(track, from, to) {
  const starts = rowsOf(track.lanes.held, 0, to).filter((row) => row.state === 'SPEAKING').map((row) => row.frame);
  let at = -1;
  const frames = rowsOf(track.lanes.floor, from, to).filter((row) => {
    if (row.kind !== 'barge' || row.cause !== 'voice') return false;
    while (at + 1 < starts.length && starts[at + 1] <= row.frame) at += 1;
    const after = row.frame - (starts[at] ?? -Infinity);
    return after >= ECHO_AFTER[0] && after <= ECHO_AFTER[1];
  }).map((row) => row.frame);
  return crowd(frames, ECHOES, ECHOES_WITHIN);
}

/**
 * The shapes seen in [from, to) of a session, in the order of SHAPES.
 * @param {ReturnType<import('./track.js').createTrack>} track @param {number} [from] @param {number} [to] @returns {Finding[]}
 */
export function shapes(track, from = track.extent().first, to = track.extent().end) {
  const spans = stretches(track, from, to);
  const seen = {
    sawtooth: sawtooth(track, spans), pinned: pinned(track, spans), comb: comb(track, from, to),
    cycle: cycle(track, from, to), conceals: conceals(track, spans), echo: echo(track, from, to),
  };
  return Object.entries(SHAPES).filter(([name]) => seen[name]).map(([name, about]) => ({ name, ...about, ...seen[name] }));
}
