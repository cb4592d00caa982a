// The wrap of RTP timestamps and the playout reports.
// Knows no browser.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ahead, createPlayout, jitterMs, passed } from '../../web/playout.js';

const WRAP = 2 ** 32;

test('a timestamp is ahead across the wrap', () => {
  assert.equal(ahead(960, WRAP - 960), 1920);
  assert.equal(ahead(WRAP - 960, 960), -1920);
  assert.equal(ahead(5, 5), 0);
});

test('half the circle is the farthest behind', () => {
  assert.equal(ahead(WRAP / 2, 0), -WRAP / 2);
  assert.equal(ahead(WRAP / 2 - 1, 0), WRAP / 2 - 1);
});

test('the order of any two neighbours holds anywhere on the circle', () => {
  for (let base = 0; base < WRAP; base += 104_729_003) {
    for (const step of [1, 960, 48_000, 10_000_000]) {
      const later = (base + step) % WRAP;
      assert.equal(ahead(later, base), step);
      assert.equal(passed(later, base), true);
      assert.equal(passed(base, later), false);
      assert.equal(passed(base, base), false);
    }
  }
});

test('nothing played has passed nothing', () => assert.equal(passed(null, 0), false));

test('the jitter buffer is measured between two readings', () => {
  assert.equal(jitterMs(null, { delayS: 1440, emitted: 48_000 }), 30);
  assert.equal(jitterMs({ delayS: 1440, emitted: 48_000 }, { delayS: 1440 + 960, emitted: 96_000 }), 20);
  assert.equal(jitterMs({ delayS: 1, emitted: 48_000 }, { delayS: 1, emitted: 48_000 }), null);
  assert.equal(jitterMs({ delayS: 9, emitted: 10 }, { delayS: 1, emitted: 20 }), null);
});

test('reports begin with the clock of hello, follow the source, and outlive it', () => {
  const sent = [];
  let source = null;
  const playout = createPlayout({ source: () => source, stats: async () => null, send: (inputs) => sent.push(inputs) });
  playout.start(WRAP + 7);
  assert.deepEqual(sent, [{ rtp: 7, jitter_ms: 0, concealed: 0 }]);
  source = 960;
  assert.equal(playout.played(), 960);
  source = null;
  assert.equal(playout.played(), 960);
  source = Number.NaN;
  assert.equal(playout.played(), 960);
  playout.stop();
});

test('without a clock nothing is reported', () => {
  const sent = [];
  const playout = createPlayout({ source: () => null, stats: async () => null, send: (inputs) => sent.push(inputs) });
  playout.start(undefined);
  playout.stop();
  assert.deepEqual(sent, []);
});
