// Each shape of trouble is named where it is, and nowhere else; an ordinary session has none.
// Knows no picture.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { crowd, SHAPES, shapes } from '../../web/shapes.js';
import { createTrack } from '../../web/track.js';
import { barge, heard, hole, pace, session, sounding, speech } from './synthetic.mjs';

const names = (track) => shapes(track).map((one) => one.name);

function track(records) {
  const made = createTrack();
  for (const record of [...records].flat().sort((a, b) => (a.from ?? a.frame) - (b.from ?? b.frame))) made.take(record);
  return made;
}

const range = (from, to, step) => Array.from({ length: Math.ceil((to - from) / step) }, (_, at) => from + at * step);
/** Speech from frame 100 to 3 100, with so many ms in the buffer at each frame, unless `left` says that nothing leaves. */
function speaking(depth, { left = () => true, moves = () => 'grow' } = {}) {
  const made = track([
    speech(100, 'SPEAKING'), speech(3_100, 'IDLE'),
    range(100, 3_100, 20).map((frame) => pace(frame, { depth_ms: depth(frame), move: moves(frame) })),
  ]);
  for (let frame = 100; frame < 3_100; frame += 1) {
    if (!left(frame)) continue;
    made.frames.deep(frame, depth(frame));
    made.take(sounding(frame, frame + 1));
  }
  return made;
}
const within = (track_, records) => {
  for (const record of records) track_.take(record);
  return track_;
};

test('an ordinary hour names none', () => {
  const made = createTrack();
  for (const record of session(180_000)) made.take(record);
  assert.deepEqual(names(made), []);
});

test('a buffer that stays in its band names none, with one hole and one hasty word', () => {
  assert.deepEqual(names(within(speaking(() => 220), [hole(900), barge(1_200, 'voice')])), []);
});

test('sawtooth: far above the band, then below it, again and again', () => {
  const made = speaking((frame) => 640 - 2 * ((frame * 2) % 320));
  const [one] = shapes(made);
  assert.deepEqual([one.name, one.many >= 10, one.frame >= 100, one.to <= 3_100], ['sawtooth', true, true, true]);
  assert.deepEqual(names(speaking((frame) => 320 - ((frame * 2) % 180))), [], 'teeth within the band are how chunks look');
});

test('what runs dry at the end of each sentence is no sawtooth', () => {
  const made = createTrack();
  for (let begin = 0; begin < 3_000; begin += 200) {
    for (const record of [speech(begin, 'SPEAKING'), pace(begin), speech(begin + 100, 'DRAINING'), speech(begin + 180, 'IDLE')]) made.take(record);
    for (let frame = begin; frame < begin + 180; frame += 1) {
      made.frames.deep(frame, frame < begin + 100 ? 600 : Math.max(0, 600 - 20 * (frame - begin - 100)));
      made.take(sounding(frame, frame + 1));
    }
  }
  assert.deepEqual(names(made), []);
});

test('pinned: the buffer holds nothing while the voice should speak', () => {
  const [one] = shapes(speaking((frame) => (frame % 40 < 30 ? 20 : 60)));
  assert.deepEqual([one.name, one.frame, one.many], ['pinned', 100, 12]);
});

test('a slow beginning alone is not pinned', () => {
  assert.deepEqual(names(speaking((frame) => (frame < 220 ? 20 : 260))), []);
});

test('silence after speech and a long pause are not pinned', () => {
  const made = speaking(() => 220);
  for (const record of [speech(3_100, 'IDLE'), speech(4_000, 'PAUSED'), speech(9_000, 'IDLE'), hole(9_100)]) made.take(record);
  assert.deepEqual(names(made), []);
});

test('comb: holes at a rate, beside each other', () => {
  const made = within(speaking(() => 200), range(500, 1_700, 60).map(hole));
  assert.deepEqual(shapes(made).map(({ name, frame, to, many }) => [name, frame, to, many]), [['comb', 500, 1_641, 20]]);
  assert.deepEqual(names(within(speaking(() => 200), range(200, 3_000, 300).map(hole))), [], 'a hole every six seconds is no comb');
});

test('cycle: sizes that grow and are halved without end', () => {
  assert.deepEqual(names(speaking(() => 200, { moves: (frame) => (frame % 100 < 80 ? 'grow' : 'halve') })), ['cycle']);
  assert.deepEqual(names(speaking(() => 200, { moves: (frame) => (frame < 300 && frame % 100 >= 80 ? 'halve' : 'grow') })), [], 'a size is found after two tries');
});

test('sizes that begin small with each sentence are no cycle', () => {
  assert.deepEqual(names(speaking(() => 200, { moves: (frame) => (frame % 200 < 40 ? 'start' : 'grow') })), []);
});

test('conceals: every frame left, the buffer was full, and still sound was made up', () => {
  const lossy = within(speaking(() => 220), range(400, 2_800, 50).map((frame, at) => heard(frame, at * 900)));
  const [one] = shapes(lossy);
  assert.deepEqual([one.name, one.frame >= 400, one.to <= 2_851], ['conceals', true, true]);
});

test('what the far end makes up over our own holes is our fault, not the network\'s', () => {
  const holes = (frame) => frame % 50 > 3;
  const made = within(speaking(() => 220, { left: holes }), range(400, 2_800, 50).map((frame, at) => heard(frame, at * 900)));
  assert.equal(names(made).includes('conceals'), false);
});

test('echo: the voice is interrupted by itself, each time just after it began', () => {
  const turns = range(0, 2_000, 200);
  const made = track(turns.flatMap((begin) => [speech(begin, 'SPEAKING'), barge(begin + 30, 'voice'), speech(begin + 30, 'YIELDED')]));
  assert.deepEqual(names(made), ['echo']);
  const people = track(turns.flatMap((begin) => [speech(begin, 'SPEAKING'), barge(begin + 150, 'voice'), speech(begin + 150, 'YIELDED')]));
  assert.deepEqual(names(people), [], 'who lets it speak for three seconds is a person');
  const hands = track(turns.flatMap((begin) => [speech(begin, 'SPEAKING'), barge(begin + 30, 'button'), speech(begin + 30, 'YIELDED')]));
  assert.deepEqual(names(hands), [], 'a button is a person');
});

test('a shape is looked for where it is asked for', () => {
  const made = within(speaking(() => 200), range(500, 1_700, 60).map(hole));
  assert.deepEqual(shapes(made, 1_800, 3_100), []);
});

test('a crowd needs its number within its time', () => {
  assert.equal(crowd([0, 100, 200], 3, 150), null);
  assert.deepEqual(crowd([0, 400, 410, 420, 430], 3, 50), { frame: 400, to: 431, many: 4 });
});

test('every shape has a cause and a remedy in whole sentences', () => {
  for (const { title, cause, remedy } of Object.values(SHAPES)) assert.ok(title && /\.$/.test(cause) && /\.$/.test(remedy));
});
