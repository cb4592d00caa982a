// Telemetry as bounded series over frame numbers: depth, chunk size, events.
// Knows no canvas and no clock; a frame is 20 ms of the session.

/** A minute of frames. */
export const SPAN = 3_000;
/** At most ten telemetry events a second for a minute, and half as many again. */
export const MAX_POINTS = 900;
export const MAX_EVENTS = 600;
/** Farther apart than this (frames) two points are not joined: nothing was measured in between. */
export const GAP = 30;

/** What a person tells apart in the chart, by kind of journal record. */
export const GROUPS = Object.freeze({
  text: { label: 'Text', kinds: ['input'] },
  cut: { label: 'Barge-in', kinds: ['barge'] },
  hold: { label: 'Pause, resume', kinds: ['pause', 'resume'] },
  swap: { label: 'Voice, engine', kinds: ['swap', 'config'] },
  trouble: { label: 'Trouble', kinds: ['fault', 'health', 'fill', 'drift', 'loop_lag', 'log_gap', 'peer_lost'] },
  call: { label: 'Call', kinds: ['call', 'notice', 'recovered', 'end'] },
  mic: { label: 'Microphone', kinds: ['mic'] },
  chunk: { label: 'Chunk', kinds: ['chunk'] },
});

const groupOf = new Map(Object.entries(GROUPS).flatMap(([group, { kinds }]) => kinds.map((kind) => [kind, group])));

/**
 * @typedef {{frame: number, depthMs: number, low: number, high: number, rung: number | null, speech: string, adapter: string}} Point
 * @typedef {{key: number, frame: number, kind: string, group: string, text: string}} Mark
 * @typedef {{points: Point[], marks: Mark[], rungs: number[], mode: string, dropped: number, made: number}} Series
 */

/** @returns {Series} */
export const empty = () => ({ points: [], marks: [], rungs: [], mode: '', dropped: 0, made: 0 });

const number = (value, otherwise) => (typeof value === 'number' && Number.isFinite(value) ? value : otherwise);

/** The current rung as its size: a place on the ladder, or the size itself. */
function rungOf(rung, rungs) {
  if (Number.isInteger(rung) && rung >= 0 && rung < rungs.length) return rungs[rung];
  return number(rung, null);
}

const SHOWN = ['cause', 'stage', 'state', 'adapter', 'from', 'to', 'reason', 'code', 'text', 'chunk_id', 'units', 'render_ms'];

/** A record in a few words. @param {Record<string, any>} record */
export function words(record) {
  const parts = [];
  for (const name of SHOWN) {
    const value = record[name];
    if (typeof value === 'string' && value && value !== record.kind) parts.push(name === 'adapter' || name === 'stage' || name === 'cause' || name === 'text' || name === 'state' ? value : `${name.replace(/_/g, ' ')} ${value}`);
    else if (typeof value === 'number' && Number.isFinite(value) && name !== 'from' && name !== 'to') parts.push(name === 'render_ms' ? `${Math.round(value)} ms render` : `${name.replace(/_/g, ' ')} ${value}`);
  }
  if (typeof record.result === 'string' && record.result !== 'ok') parts.push(record.result);
  const text = parts.join(' · ');
  return text.length > 120 ? `${text.slice(0, 119)}…` : text;
}

/**
 * Adds one telemetry event; the given series is changed and returned (a minute at 10 Hz need not be copied).
 * @param {Series} series @param {Record<string, any>} data @returns {Series}
 */
export function take(series, data) {
  const frame = number(data?.frame, null);
  if (frame === null) return series;
  // another conversation, or a server that began anew: its frames have nothing to do with these
  if (frame < (series.points.at(-1)?.frame ?? 0) - 50) Object.assign(series, empty(), { made: series.made });
  if (Array.isArray(data.rungs)) series.rungs = data.rungs.filter((one) => Number.isFinite(one) && one > 0).slice(0, 16).sort((a, b) => a - b);
  series.mode = String(data.mode ?? series.mode);
  series.dropped += number(data.dropped, 0);
  const [low, high] = Array.isArray(data.band) ? data.band : [];
  const last = series.points.at(-1);
  if (!last || frame >= last.frame) {
    series.points.push({
      frame, depthMs: Math.max(0, number(data.depth_ms, 0)), low: number(low, 0), high: number(high, 0),
      rung: rungOf(data.rung, series.rungs), speech: String(data.speech ?? '').toLowerCase(), adapter: String(data.adapter ?? ''),
    });
  }
  for (const record of Array.isArray(data.events) ? data.events : []) mark(series, record, frame);
  return trim(series);
}

const WELL = /^(cold|warming|ready)$/i;

/** An engine that gets ready is news of the engine; only one that fails is trouble. */
function groupIn(record) {
  if (record?.kind === 'health' && [record.state, record.stage].some((one) => WELL.test(one ?? ''))) return 'swap';
  return groupOf.get(record?.kind);
}

function mark(series, record, frame) {
  const group = groupIn(record);
  if (!group) return;
  series.made += 1;
  series.marks.push({ key: series.made, frame: number(record.frame, frame), kind: record.kind, group, text: words(record) });
}

function trim(series) {
  const first = (series.points.at(-1)?.frame ?? 0) - SPAN;
  const { points, marks } = series;
  let old = Math.max(0, points.length - MAX_POINTS);
  while (old < points.length && points[old].frame < first) old += 1;
  if (old) points.splice(0, old);
  old = Math.max(0, marks.length - MAX_EVENTS);
  while (old < marks.length && marks[old].frame < first) old += 1;
  if (old) marks.splice(0, old);
  return series;
}

/**
 * The runs of points that may be joined by a line.
 * @param {Point[]} points @returns {Point[][]}
 */
export function runs(points) {
  const found = [];
  for (const point of points) {
    const run = found.at(-1);
    if (run && point.frame - run.at(-1).frame <= GAP) run.push(point);
    else found.push([point]);
  }
  return found;
}

/** The point measured last at or before `frame`. @param {Point[]} points @param {number} frame */
export function at(points, frame) {
  let low = 0;
  let high = points.length - 1;
  let found = null;
  while (low <= high) {
    const middle = (low + high) >> 1;
    if (points[middle].frame <= frame) {
      found = points[middle];
      low = middle + 1;
    } else high = middle - 1;
  }
  return found;
}

/** A round top of the axis (ms) over depth and band. @param {Point[]} points */
export function top(points) {
  const most = points.reduce((high, point) => Math.max(high, point.depthMs, point.high), 100);
  const step = most > 2000 ? 1000 : most > 800 ? 400 : most > 400 ? 200 : 100;
  return Math.ceil((most * 1.08) / step) * step;
}
