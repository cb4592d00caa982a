// Logs made up for tests: an ordinary session of any length, and one for each shape of trouble.
// Knows no page. As a program it prints a log as JSON lines: node synthetic.mjs FRAMES.

import { pathToFileURL } from 'node:url';

const FRAME = 960;
const record = (kind, frame, fields = {}) => ({ kind, frame, stage: kind, result: 'ok', surface: 'core', duration_ms: 0, ...fields });
const base64 = (bytes) => Buffer.from(bytes).toString('base64');

/** One second and less of frames: what left from `from` to `to`, at a position, of a chunk. */
export function sounding(from, to, { kind = 'voice', position = 0, chunk: first = 0, each = 50, level = 215 } = {}) {
  const levels = Array.from({ length: to - from }, (_, at) => (kind === 'voice' ? Math.round(level - 40 * Math.abs(Math.sin((from + at) / 9)) - ((from + at) % 5) * 3) : 0));
  const runs = [];
  for (let frame = from; frame < to; frame += each) {
    const spans = kind === 'voice' || kind === 'cut' ? [[first + runs.length, 0, FRAME]] : [];
    runs.push([frame, kind, position + (kind === 'voice' ? (frame - from) * FRAME : 0), spans]);
  }
  return record('frames', from, { from, to, runs, level: base64(levels), crc: base64(new Uint8Array(4 * (to - from))) });
}

export const speech = (frame, state) => record('speech', frame, { state });
export const pace = (frame, fields = {}) => record('pace', frame, { rung: 3, move: 'grow', depth_ms: 200, low_ms: 150, high_ms: 300, ...fields });
export const barge = (frame, cause) => record('barge', frame, { cause, utterance: 'u0', heard: 0, dropped: 0 });
export const hole = (frame) => record('fill', frame, { stage: 'hold', why: 'due' });
export const heard = (frame, concealed = 0, lag = 3) => record('heard', frame, { played: frame - lag, jitter_ms: 40, concealed });

/** A chunk asked for at `asked`, there at `landed`, which brings the written samples to `position`. */
export function chunk(id, asked, landed, position, { adapter = 'tone', rung = 3, window = [0, 7_680], text = 'some words', depth = 150 } = {}) {
  return [
    record('request', asked, { chunk: id, adapter, text_range: [0, 20], window, rate: 24_000, n: 24, rung, move: 'grow', depth_ms: depth, text, utterance: 'u0' }),
    record('chunk', landed, { chunk: id, adapter, samples: 7_680, render_ms: 42.5, attempt: 0, position, utterance: 'u0' }),
    record('stitch', landed, { chunk: id, out_start: position - 15_360, overlap: 0, curve: 'none', markers: [] }),
  ];
}

/** Frames of a chunk. */
const EACH = 15;
const WORDS = 'Nets hung over the rails still wet and gulls followed close behind while children ran along the stones '.split(' ').filter(Boolean);

/**
 * An ordinary session: sentences and silence, two engines, barge-ins, pauses, a caller who speaks.
 * @param {number} frames @param {number} [sentence] frames that one lasts
 */
export function* session(frames, sentence = 450) {
  yield record('header', 0, { schema: 2, session: 'synthetic', seed: 1, adapter: 'tone', sample_rate: 48_000, frame_samples: 960 });
  let written = 0;
  let read = 0;
  let id = 0;
  for (let begin = 0, turn = 0; begin + sentence + 50 <= frames; begin += sentence + 50, turn += 1) {
    const utterance = `u${turn}`;
    const adapter = Math.floor(turn / 9) % 2 ? 'espeak' : 'tone';
    const text = Array.from({ length: 30 }, (_, at) => WORDS[(turn + at) % WORDS.length]).join(' ');
    yield record('input', begin, { id: `i${turn}`, text, end: true, utterance, from: 0, to: text.length });
    yield speech(begin, 'PRIMING');
    if (turn && turn % 9 === 0) yield record('swap', begin, { stage: 'swap', adapter_from: adapter === 'tone' ? 'espeak' : 'tone', adapter_to: adapter, reason: 'wish' });
    let place = 0;
    for (let frame = begin; frame < begin + sentence; frame += EACH) {
      const to = Math.min(begin + sentence, frame + EACH);
      written += (to - frame) * FRAME;
      yield* chunk(id, frame, frame + 2, written + 9_600, { adapter, rung: 3 + (Math.floor(id / 5) % 2), text: text.slice(0, 40), depth: 200 });
      yield pace(frame + 2, { rung: 3 + (Math.floor(id / 5) % 2), depth_ms: 200 });
      if (frame === begin) yield speech(begin + 3, 'SPEAKING');
      const from = text.indexOf(' ', place) + 1;
      if (from > 0) yield record('word', frame, { utterance, from: place, to: from - 1, position: read });
      place = from > 0 ? from : place;
      yield heard(frame + 9);
      yield sounding(frame, to, { position: read, chunk: id });
      read += (to - frame) * FRAME;
      id += 1;
    }
    written = read;
    if (turn % 5 === 4) yield barge(begin + sentence - 1, 'button');
    if (turn % 7 === 3) {
      yield record('mic', begin + sentence, { stage: 'mic', speaking: true, level_db: -30 });
      yield record('mic', begin + sentence + 40, { stage: 'mic', speaking: false, level_db: -60 });
    }
    yield speech(begin + sentence, 'IDLE');
    yield sounding(begin + sentence, begin + sentence + 5, { kind: 'tail', position: read });
  }
  yield record('end', frames, { frames, result: 'hung_up' });
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  let lines = [];
  for (const one of session(Number(process.argv[2] ?? 180_000))) {
    lines.push(JSON.stringify(one));
    if (lines.length > 1_000) {
      process.stdout.write(`${lines.join('\n')}\n`);
      lines = [];
    }
  }
  process.stdout.write(`${lines.join('\n')}\n`);
}
