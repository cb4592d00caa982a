// A session as lanes over frames: records of its log go in one by one, in order; what the panel draws comes out.
// Knows no feed and no canvas. Everything is bounded: the columns by blocks, each lane by its rows.

import { createEngines } from './engines.js';
import { createFrames } from './frames.js';
import { createRows } from './rows.js';
import { createSounded } from './sounded.js';
import { createSource } from './source.js';
import { phrase } from './phrase.js';

/** Rows of a lane that is fed by every chunk or word: four hours of ten a second would be 144,000; two of five are plenty. */
export const MOST_OFTEN = 40_000;
/** Rows of a lane that is fed by what people and machines do. */
export const MOST_SELDOM = 10_000;
/** Looks at the buffer farther apart (frames) say nothing of what was between them. */
const LOOKS = 15;
/** Frames that a swap's seam is drawn wide where the log does not say when it was blended. */
const SEAM = 2;
const WELL = /^(cold|warming|ready)$/i;
const HELD = { YIELDED: 'cut', PAUSED: 'hold', PRIMING: 'priming', SPEAKING: 'speaking', DRAINING: 'draining' };

/** The lanes' rows, and how many each may hold. */
const LANES = { inputs: MOST_SELDOM, chunks: MOST_OFTEN, pace: MOST_OFTEN, words: MOST_OFTEN, engine: MOST_SELDOM, floor: MOST_SELDOM, held: MOST_SELDOM, mic: MOST_SELDOM, trouble: MOST_SELDOM, tools: MOST_SELDOM, call: MOST_SELDOM };

const whole = (value, otherwise = 0) => (Number.isFinite(value) ? Math.round(value) : otherwise);

export function createTrack() {
  const frames = createFrames();
  const engines = createEngines();
  const source = createSource();
  const lanes = Object.fromEntries(Object.entries(LANES).map(([name, most]) => [name, createRows(most)]));
  /** What one can jump to, in order: all but chunks, words and pace. */
  const marks = createRows(2 * MOST_SELDOM);
  /** @type {Map<number, any>} */
  const chunkOf = new Map();
  const about = { session: '', started: false, ended: false, schema: 0, rungs: [], gaps: 0, lost: 0, records: 0, adapter: '', seq: -1 };
  let rates = {};
  let concealed = 0;
  let keys = 0;
  let looked = -1;

  const sounded = createSounded({
    frames,
    engineOf: (chunk) => engines.place(chunkOf.get(chunk)?.adapter ?? about.adapter),
    chunkSounds(chunk, from, to) {
      const row = chunkOf.get(chunk);
      if (!row) return;
      row.first = row.first < 0 ? from : Math.min(row.first, from);
      row.last = Math.max(row.last, to);
    },
  });

  /** A mark on a lane, and in the list of all. */
  function mark(lane, group, record, more = {}) {
    keys += 1;
    const row = { key: keys, frame: record.frame, to: record.frame, lane, group, kind: record.kind, text: phrase(record), ...more };
    marks.add(row);
    return lanes[lane].add(row);
  }

  /** Ends what still lasts on a lane. */
  function close(lane, frame) {
    const last = lanes[lane].at(-1);
    if (last && last.to === null) last.to = frame;
  }

  function chunkRow(record) {
    const { chunk, adapter, frame } = record;
    const row = lanes.chunks.add({
      frame, to: null, id: chunk, adapter: String(adapter ?? ''), engine: engines.place(adapter), range: record.text_range ?? null,
      window: record.window ?? null, rung: Number.isInteger(record.rung) ? record.rung : null, ms: null, move: String(record.move ?? ''),
      text: typeof record.text === 'string' ? record.text.slice(0, 400) : '', utterance: String(record.utterance ?? ''),
      render: null, attempt: 0, result: 'asked', first: -1, last: -1,
    });
    chunkOf.set(chunk, row);
    if (chunkOf.size > MOST_OFTEN) chunkOf.delete(chunkOf.keys().next().value);
    return row;
  }

  /** Where the log does not say how much was asked for, what came tells the size. */
  function size(row) {
    const ms = (row.written - row.start) / 48;
    if (row.ms === null && ms > 0) row.ms = ms;
  }

  const takers = {
    header(record) {
      Object.assign(about, { session: String(record.session ?? ''), started: true, schema: whole(record.schema), adapter: String(record.adapter ?? '') });
      mark('call', 'call', record, { text: `session ${about.session}, engine ${about.adapter}` });
    },
    input(record) {
      const text = typeof record.text === 'string' ? record.text : '';
      const from = whole(record.from);
      const utterance = String(record.utterance ?? '');
      if (text) source.add(utterance, from, text);
      mark('inputs', 'text', record, { text: text || `${whole(record.to) - from} characters, kept private`, utterance, length: whole(record.to) - from });
    },
    request(record) {
      const row = chunkRow(record);
      const rate = record.rate ?? rates[row.adapter];
      if (rate > 0 && Array.isArray(row.window)) row.ms = ((row.window[1] - row.window[0]) * 1000) / rate;
      if (Number.isFinite(record.position)) sounded.written(record.frame, record.position);
      else if (Number.isFinite(record.depth_ms)) sounded.lay(record.frame, record.depth_ms);
    },
    chunk(record) {
      const row = chunkOf.get(record.chunk) ?? chunkRow(record);
      Object.assign(row, { to: record.frame, render: Number.isFinite(record.render_ms) ? record.render_ms : null, attempt: whole(record.attempt), result: record.result });
      if (record.result !== 'ok') return;
      if (Number.isFinite(record.position)) sounded.written(record.frame, record.position);
      row.written = record.position;
      size(row);
    },
    stitch(record) {
      const row = chunkOf.get(record.chunk);
      if (!row) return;
      row.start = record.out_start;
      size(row);
    },
    pace(record) {
      lanes.pace.add({ frame: record.frame, low: record.low_ms ?? 0, high: record.high_ms ?? 0, depth: record.depth_ms ?? null, rung: record.rung ?? null, move: record.move });
    },
    word(record) {
      const utterance = String(record.utterance ?? '');
      lanes.words.add({ frame: record.frame, utterance, from: whole(record.from), to: whole(record.to), sure: record.sure !== false });
    },
    heard(record) {
      const grown = Math.max(0, whole(record.concealed) - concealed);
      concealed = whole(record.concealed);
      if (Number.isFinite(record.played)) frames.heard(record.frame, record.frame - record.played, grown);
    },
    speech(record) {
      close('held', record.frame);
      const group = HELD[record.state];
      if (group) lanes.held.add({ frame: record.frame, to: null, group, state: record.state });
    },
    barge(record) {
      sounded.lay(record.frame, 0);
      mark('floor', 'cut', record, { cause: String(record.cause ?? '') });
    },
    pause: (record) => mark('floor', 'hold', record),
    resume: (record) => mark('floor', 'hold', record),
    duck: (record) => mark('floor', 'mic', record),
    swap(record) {
      const last = lanes.engine.at(-1);
      if (record.stage === 'blended') {
        if (last?.kind === 'swap') last.to = Math.max(last.frame + SEAM, record.frame);
        return;
      }
      about.adapter = String(record.adapter_to ?? about.adapter);
      engines.place(about.adapter);
      mark('engine', 'swap', record, { to: record.frame + SEAM, engine: engines.place(about.adapter) });
    },
    config: (record) => mark('engine', 'swap', record),
    engine(record) {
      if (Number.isFinite(record.sample_rate)) rates = { ...rates, [String(record.adapter)]: record.sample_rate };
      mark('engine', 'call', record);
    },
    health(record) {
      const well = [record.state, record.stage].some((one) => WELL.test(one ?? ''));
      mark(well ? 'engine' : 'trouble', well ? 'call' : 'trouble', record, { state: record.state });
    },
    mic(record) {
      if (typeof record.speaking !== 'boolean') {
        mark('call', 'mic', record);
        return;
      }
      close('mic', record.frame);
      if (record.speaking) mark('mic', 'mic', record, { to: null });
    },
    // a hole begins at `hold`; what follows belongs to it
    fill(record) {
      const last = lanes.trouble.at(-1);
      if (record.stage === 'hold' || last?.kind !== 'fill') mark('trouble', 'fill', record);
      else last.to = Math.max(last.to, record.frame);
    },
    log_gap(record) {
      about.gaps += 1;
      about.lost += whole(record.records);
      mark('trouble', 'trouble', record);
    },
    tool: (record) => mark('tools', 'tool', record, { to: Number.isFinite(record.to) ? record.to : record.frame }),
    end(record) {
      about.ended = true;
      for (const lane of ['held', 'mic']) close(lane, record.frame);
      mark('call', 'call', record);
    },
    frames: (record) => sounded.take(record),
  };
  for (const kind of ['fault', 'drift', 'loop_lag', 'peer_lost', 'recovered']) takers[kind] = (record) => mark('trouble', 'trouble', record);
  for (const kind of ['call', 'notice']) takers[kind] = (record) => mark('call', 'call', record);

  return {
    frames, engines, source, lanes, marks, about,

    /** Files one record. What is older than the newest by its `seq`, and what is no record, is left out. @param {any} record */
    take(record) {
      const taker = Object.hasOwn(takers, record?.kind) ? takers[record.kind] : null;
      if (!taker || !Number.isInteger(record.frame) || record.frame < 0) return false;
      if (Number.isInteger(record.seq)) {
        if (record.seq <= about.seq) return false;
        about.seq = record.seq;
      }
      about.records += 1;
      taker(record);
      return true;
    },

    /** The state of the buffer ten times a second: exact, and a second before the log has the frames. */
    snapshot({ frame, depth_ms: depth, rungs }) {
      if (Number.isInteger(frame) && frame >= 0 && Number.isFinite(depth)) {
        // what was measured lasts until the next look, if that comes soon
        for (let at = frame - looked > LOOKS ? frame : Math.min(frame, looked + 1); at <= frame; at += 1) frames.deep(at, depth);
        looked = frame;
      }
      if (Array.isArray(rungs)) about.rungs = rungs.filter((one) => one > 0).slice(0, 16);
    },

    /** @returns {any} what is known of a chunk, or null */
    chunk: (id) => chunkOf.get(id) ?? null,
    /** The first and the last frame that anything is known of. */
    extent: () => ({ first: Math.min(frames.size ? frames.first : Infinity, marks.at(0)?.frame ?? frames.first), end: Math.max(frames.end, (marks.at(-1)?.frame ?? -1) + 1) }),
  };
}
