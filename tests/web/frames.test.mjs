// Columns of frames with their coarser copies, and rows in order: bounded, and true at every width.
// Knows no record.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BLOCK, createFrames, KINDS, MOST_BLOCKS, NO_DEPTH } from '../../web/frames.js';
import { createRows } from '../../web/rows.js';

test('a look over any width says the same as its frames one by one', () => {
  const frames = createFrames();
  let state = 7;
  const random = (below) => {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
    return state % below;
  };
  for (let frame = 100; frame < 3 * BLOCK; frame += 1 + random(3)) {
    frames.sounded(frame, Object.values(KINDS)[random(4)], random(256), random(3), frame);
    frames.deep(frame, random(900));
    if (frame % 10 === 0) frames.heard(frame, random(40), random(20));
  }
  for (const [from, to] of [[0, 12_288], [100, 101], [4_000, 4_200], [1_023, 9_001], [4_096, 8_192], [64, 128], [5_555, 5_556]]) {
    const whole = frames.look(from, to);
    const sum = { kinds: 0, engines: 0, level: 0, low: NO_DEPTH, high: 0, lag: 0, concealed: 0 };
    for (let frame = from; frame < to; frame += 1) {
      const one = frames.look(frame, frame + 1);
      sum.kinds |= one.kinds;
      sum.engines |= one.engines;
      sum.level = Math.max(sum.level, one.level);
      sum.low = Math.min(sum.low, one.low);
      sum.high = Math.max(sum.high, one.high);
      sum.lag = Math.max(sum.lag, one.lag);
      sum.concealed += one.concealed;
    }
    assert.deepEqual(whole, sum, `${from} to ${to}`);
  }
});

test('a day of speech keeps the newest four hours, and says where they begin', () => {
  const frames = createFrames();
  for (let block = 0; block < 1_055; block += 1) frames.sounded(block * BLOCK, KINDS.voice, 100, 0, block);
  assert.equal(frames.size, MOST_BLOCKS);
  assert.equal(frames.first, (1_055 - MOST_BLOCKS) * BLOCK);
  assert.equal(frames.look(0, BLOCK).kinds, 0);
  assert.equal(frames.look(1_054 * BLOCK, 1_055 * BLOCK).kinds, KINDS.voice);
});

test('hours of silence between two words cost two blocks, and a look over them ends', () => {
  const frames = createFrames();
  frames.sounded(3, KINDS.voice, 100, 0, 1);
  frames.sounded(40_000_000, KINDS.voice, 120, 1, 2);
  assert.equal(frames.size, 2);
  assert.deepEqual([frames.look(0, 50_000_000).level, frames.look(0, 50_000_000).engines], [120, 3]);
});

test('rows stay in order, the oldest go, and any frame is found', () => {
  const rows = createRows(64);
  for (let frame = 0; frame < 1_000; frame += 1) rows.add({ frame: frame * 2 });
  rows.add({ frame: 1_501 });
  assert.ok(rows.length <= 64);
  assert.equal(rows.length + rows.dropped, 1_001);
  assert.deepEqual([rows.before(1_999).frame, rows.before(1_997).frame, rows.after(1_990).frame, rows.after(1_998)], [1_998, 1_996, 1_992, null]);
  assert.deepEqual(rows.within(1_990, 1_996).map((row) => row.frame), [1_990, 1_992, 1_994]);
});
