// Telemetry as bounded series over frames.
// Knows no canvas.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { at, empty, GAP, MAX_EVENTS, MAX_POINTS, runs, SPAN, take, top, words } from '../../web/timeline.js';

const data = (frame, more = {}) => ({ frame, speech: 'speaking', adapter: 'a', mode: 'steady', depth_ms: 200, band: [100, 300], rung: 16, rungs: [8, 16, 24], events: [], ...more });

test('a telemetry event becomes a point and marks', () => {
  const series = take(empty(), data(50, { events: [{ kind: 'barge', frame: 48, cause: 'button', result: 'ok' }, { kind: 'frames', frame: 49 }] }));
  assert.deepEqual(series.points, [{ frame: 50, depthMs: 200, low: 100, high: 300, rung: 16, speech: 'speaking', adapter: 'a' }]);
  assert.deepEqual(series.marks, [{ key: 1, frame: 48, kind: 'barge', group: 'cut', text: 'button' }]);
});

test('a rung is a size on the ladder, or a place on it', () => {
  assert.equal(take(empty(), data(1, { rung: 24 })).points[0].rung, 24);
  assert.equal(take(empty(), data(1, { rung: 2 })).points[0].rung, 24);
  assert.equal(take(empty(), data(1, { rung: null })).points[0].rung, null);
});

test('an hour stays within a minute of frames and the bounds', () => {
  const series = empty();
  for (let frame = 0; frame < 180_000; frame += 5) take(series, data(frame, { events: [{ kind: 'chunk', frame }, { kind: 'input', frame }] }));
  assert.ok(series.points.length <= MAX_POINTS);
  assert.ok(series.marks.length <= MAX_EVENTS);
  assert.ok(series.points[0].frame >= series.points.at(-1).frame - SPAN);
  assert.ok(series.marks[0].frame >= series.points.at(-1).frame - SPAN);
});

test('a burst of events is bounded too', () => {
  const series = take(empty(), data(10, { events: Array.from({ length: 5_000 }, () => ({ kind: 'fault', frame: 10 })), dropped: 3 }));
  assert.equal(series.marks.length, MAX_EVENTS);
  assert.equal(series.dropped, 3);
});

test('a frame of the past makes no point, another conversation begins anew', () => {
  const series = take(take(empty(), data(500)), data(490));
  assert.equal(series.points.length, 1);
  take(series, data(3));
  assert.deepEqual(series.points.map((one) => one.frame), [3]);
});

test('nonsense is ignored', () => {
  const series = empty();
  for (const one of [null, {}, { frame: 'x' }, { frame: Number.NaN }]) take(series, one);
  assert.deepEqual(series.points, []);
  take(series, { frame: 1, events: [null, 5, { kind: 'unheard of' }], band: 'x', rungs: 'y', depth_ms: -4 });
  assert.equal(series.points[0].depthMs, 0);
  assert.deepEqual(series.marks, []);
});

test('points that were not measured in between are not joined', () => {
  const series = empty();
  for (const frame of [0, 5, 10, 11 + GAP, 16 + GAP]) take(series, data(frame));
  assert.deepEqual(runs(series.points).map((run) => run.length), [3, 2]);
});

test('the point at a frame is the last measured before it', () => {
  const series = empty();
  for (const frame of [10, 20, 30]) take(series, data(frame));
  assert.equal(at(series.points, 9), null);
  assert.equal(at(series.points, 10).frame, 10);
  assert.equal(at(series.points, 29).frame, 20);
  assert.equal(at(series.points, 999).frame, 30);
});

test('the axis ends at a round value above depth and band', () => {
  assert.equal(top([]), 200);
  const high = top(take(empty(), data(0, { depth_ms: 610 })).points);
  assert.ok(high >= 610 && high % 100 === 0);
});

test('a record in words is short and leaves out what is ordinary', () => {
  assert.equal(words({ kind: 'swap', stage: 'ready', from: 'a', to: 'b', result: 'ok' }), 'ready · from a · to b');
  assert.ok(words({ kind: 'input', text: 'x'.repeat(500) }).length <= 120);
});

test('an engine that gets ready is no trouble, one that fails is', () => {
  const series = take(empty(), data(1, { events: [{ kind: 'health', state: 'READY' }, { kind: 'health', stage: 'failed' }] }));
  assert.deepEqual(series.marks.map((one) => one.group), ['swap', 'trouble']);
});
