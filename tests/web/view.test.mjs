// The window over the frames: it follows, stops, moves, widens, and never leaves what there is.
// Knows no pixel.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { everything, follow, grouped, LEAST, minutes, OPENING, pan, reveal, settle, ticks, zoom } from '../../web/view.js';

const hour = { first: 0, end: 180_000 };
const at = (from, span, following = false) => ({ from, span, follow: following });

test('it follows what happens now, with a little room in front', () => {
  const one = settle(OPENING, hour);
  assert.ok(one.from + one.span > hour.end && one.from + one.span < hour.end + 200);
  const later = settle(one, { first: 0, end: 180_100 });
  assert.equal(Math.round(later.from - one.from), 100);
});

test('who drags back stops following, who asks for it follows again', () => {
  const back = pan(settle(OPENING, hour), hour, -500);
  assert.equal(back.follow, false);
  assert.equal(settle(back, { first: 0, end: 190_000 }).from, back.from);
  assert.equal(follow(back, hour).follow, true);
});

test('it never shows what was before the beginning or comes after the end', () => {
  assert.equal(pan(at(100, 1_000), hour, -9_000).from, 0);
  assert.ok(pan(at(100, 1_000), hour, 9e9).from < hour.end);
});

test('zooming keeps the frame under the finger', () => {
  const near = zoom(at(1_000, 1_000), hour, 2, 1_250);
  assert.deepEqual([near.span, near.from], [500, 1_125]);
  assert.equal(zoom(at(1_000, 60), hour, 100, 1_010).span, LEAST);
  assert.ok(zoom(at(1_000, 60), hour, 1e-9, 1_010).span < 1.1 * hour.end);
});

test('all is all', () => {
  const all = everything(at(5, 50), hour);
  assert.ok(all.from <= 0 && all.from + all.span >= hour.end);
});

test('a frame that is not in view comes to its middle, one that is stays', () => {
  assert.equal(reveal(at(0, 1_000), hour, 500).from, 0);
  assert.equal(reveal(at(0, 1_000), hour, 5_000).from, 4_500);
});

test('the axis is labelled with round frames', () => {
  assert.deepEqual(ticks(at(120, 1_000), 5), [200, 400, 600, 800, 1_000]);
  for (const span of [50, 333, 9_000, 180_000, 720_001]) {
    const found = ticks(at(17.3, span), 8);
    assert.ok(found.length >= 3 && found.length <= 9 && found.every(Number.isInteger), `${span}: ${found}`);
  }
  assert.equal(grouped(179_950), '179 950');
  assert.deepEqual([minutes(0), minutes(3_050), minutes(180_000)], ['0:00', '1:01', '1:00:00']);
});
