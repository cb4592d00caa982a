// When the page is silent after a barge-in, and when it opens again.
// Knows no audio: time and playout are arguments.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createHush, FLUSH_LIMIT_MS, OPEN, SETTLE_MS, step, UNNAMED_FLUSH_MS } from '../../web/hush.js';
import { BARGE_DEADLINE_MS } from '../../web/channel.js';

const look = (played, quiet = true) => ({ type: 'look', played, quiet });

test('silent at once, open after 500 ms without an answer', () => {
  const asked = step(OPEN, { type: 'ask' }, 0);
  assert.equal(asked.state, 'asked');
  assert.equal(step(asked, look(5), BARGE_DEADLINE_MS - 1), asked);
  assert.equal(step(asked, look(5), BARGE_DEADLINE_MS), OPEN);
});

test('a refusal opens', () => assert.equal(step(step(OPEN, { type: 'ask' }, 0), { type: 'refused' }, 3), OPEN));

test('open when the playout has passed the flush, across the wrap', () => {
  const flushed = step(step(OPEN, { type: 'ask' }, 0), { type: 'flush', rtp: 2 ** 32 - 480 }, 5);
  assert.equal(step(flushed, look(2 ** 32 - 1440), 20), flushed);
  assert.equal(step(flushed, look(2 ** 32 - 480), 30), flushed);
  assert.equal(step(flushed, look(480), 50), OPEN);
});

test('past the flush it waits for the old sound to leave, but not for ever', () => {
  const flushed = step(OPEN, { type: 'flush', rtp: 960 }, 0);
  const passing = step(flushed, look(1920, false), 20);
  assert.equal(passing.state, 'flushed');
  assert.equal(step(passing, look(1920, true), 30), OPEN);
  assert.equal(step(passing, look(1920, false), 19 + SETTLE_MS).state, 'flushed');
  assert.equal(step(passing, look(1920, false), 20 + SETTLE_MS), OPEN);
});

test('a playout that never passes opens after the limit', () => {
  const flushed = step(OPEN, { type: 'flush', rtp: 960 }, 0);
  assert.equal(step(flushed, look(null), FLUSH_LIMIT_MS - 1), flushed);
  assert.equal(step(flushed, look(null), FLUSH_LIMIT_MS), OPEN);
});

test('an answer before its flush waits for it, but not for ever', () => {
  const answered = step(step(OPEN, { type: 'ask' }, 0), { type: 'answered' }, 10);
  assert.equal(answered.state, 'flushed');
  assert.equal(step(answered, look(1), 10 + UNNAMED_FLUSH_MS), OPEN);
  const named = step(answered, { type: 'flush', rtp: 960 }, 20);
  assert.equal(step(named, look(1920), 30), OPEN);
});

test('an answer after its flush changes nothing', () => {
  const flushed = step(OPEN, { type: 'flush', rtp: 960 }, 0);
  assert.equal(step(flushed, { type: 'answered' }, 5), flushed);
});

test('a second barge-in while waiting begins anew', () => {
  const flushed = step(OPEN, { type: 'flush', rtp: 960 }, 0);
  assert.deepEqual(step(flushed, { type: 'ask' }, 7), { state: 'asked', since: 7 });
});

function hushWith(played) {
  const told = [];
  const hush = createHush({ mute: () => told.push('mute'), open: () => told.push('open'), played: () => played.now, now: () => played.at });
  return { hush, told };
}

test('asking mutes within the same call', () => {
  const { hush, told } = hushWith({ now: 0, at: 0 });
  hush.ask();
  assert.deepEqual(told, ['mute']);
  hush.refused();
  assert.deepEqual(told, ['mute', 'open']);
});

test('a flush from the far side mutes too, and opens by the playout', async () => {
  const played = { now: 0, at: 0 };
  const { hush, told } = hushWith(played);
  hush.flush(960);
  assert.deepEqual(told, ['mute']);
  played.now = 1920;
  await new Promise((done) => setTimeout(done, 60));
  assert.deepEqual(told, ['mute', 'open']);
});

test('a flush that the playout has passed does not dip into the new sound', () => {
  const { hush, told } = hushWith({ now: 5000, at: 0 });
  hush.flush(960);
  assert.deepEqual(told, []);
});

test('muted twice is muted once', () => {
  const { hush, told } = hushWith({ now: 0, at: 0 });
  hush.ask();
  hush.flush(960);
  hush.ask();
  assert.deepEqual(told, ['mute']);
  hush.refused();
});
