// Words light up when they are heard; what is listened to again has its words; logs come in line by line.
// Knows no loudspeaker: where it is is a number, and streams are made of bytes.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { captionAt, captionsOf, EIGHT_SECONDS } from '../../web/audition.js';
import { createHeard, MOST_WAITING, PATIENCE_MS } from '../../web/heard.js';
import { MOST_LINE, readLines } from '../../web/ndjson.js';
import { frameOf } from '../../web/playout.js';
import { createTrack } from '../../web/track.js';

function bench() {
  const state = { frame: 0, ms: 0, out: [] };
  const heard = createHeard({ played: () => state.frame, release: (event) => state.out.push(event), now: () => state.ms });
  return { state, heard };
}

test('a word waits until its frame is played', () => {
  const { state, heard } = bench();
  heard.left(10, 'a');
  heard.left(14, 'b');
  assert.deepEqual(state.out, []);
  state.frame = 12;
  heard.look();
  assert.deepEqual(state.out, ['a']);
});

test('the end of speech waits for its words, and comes at once where none wait', () => {
  const { state, heard } = bench();
  heard.left(10, 'word');
  heard.then('idle');
  assert.deepEqual(state.out, []);
  state.frame = 10;
  heard.look();
  heard.then('again');
  assert.deepEqual(state.out, ['word', 'idle', 'again']);
});

test('after a barge-in nothing is heard that was not', () => {
  const { state, heard } = bench();
  heard.left(10, 'a');
  heard.forget();
  state.frame = 99;
  heard.look();
  assert.deepEqual(state.out, []);
});

test('who cannot say what is played is not waited for, nor one that stands still', () => {
  const { state, heard } = bench();
  state.frame = null;
  heard.left(10, 'a');
  assert.deepEqual(state.out, ['a']);
  state.frame = 3;
  heard.left(20, 'b');
  state.ms = PATIENCE_MS + 1;
  heard.look();
  assert.deepEqual(state.out, ['a', 'b']);
});

test('waiting words are bounded', () => {
  const { state, heard } = bench();
  for (let at = 0; at < MOST_WAITING + 50; at += 1) heard.left(1_000 + at, at);
  assert.deepEqual([heard.size, state.out.length], [MOST_WAITING, 50]);
});

test('a timestamp leads to a frame of the session, across the wrap', () => {
  assert.equal(frameOf(960 * 5 + 959, 0), 5);
  assert.equal(frameOf(960, 2 ** 32 - 960), 2);
  assert.deepEqual([frameOf(null, 5), frameOf(5, null)], [null, null]);
});

test('captions of an audition are the words of its frames, each at its own', () => {
  const track = createTrack();
  track.take({ kind: 'input', frame: 0, utterance: 'u', text: 'one two three four', from: 0, to: 18 });
  [[20, 0, 3], [60, 4, 7], [100, 8, 13], [900, 14, 18]].forEach(([frame, from, to]) => track.take({ kind: 'word', frame, utterance: 'u', from, to }));
  const captions = captionsOf(track, 70, 70 + EIGHT_SECONDS);
  assert.deepEqual(captions, [{ frame: 60, text: 'two' }, { frame: 100, text: 'three' }]);
  assert.deepEqual([59, 60, 99, 100].map((frame) => captionAt(captions, frame)), [-1, 0, 0, 1]);
});

const stream = (text, size = 7) => new ReadableStream({
  start(controller) {
    const bytes = new TextEncoder().encode(text);
    for (let at = 0; at < bytes.length; at += size) controller.enqueue(bytes.slice(at, at + size));
    controller.close();
  },
});

async function lines(text, size) {
  const taken = [];
  const found = await readLines(stream(text, size), { take: (value, line) => taken.push([line, value]) });
  return { taken, ...found };
}

test('lines come one by one, whatever the pieces, with characters whole', async () => {
  for (const size of [1, 2, 3, 1_000]) {
    const { taken, broken } = await lines('{"a":"🙂"}\n{"a":"ü"}\n[3]', size);
    assert.deepEqual([taken, broken], [[[0, { a: '🙂' }], [1, { a: 'ü' }], [2, [3]]], 0]);
  }
});

test('a torn tail and a foreign line are counted and named, the rest is read', async () => {
  const { taken, broken, firstBroken } = await lines('{"a":1}\nnot json\n{"a":2}\n{"a":');
  assert.deepEqual([taken.length, broken, firstBroken], [2, 2, 1]);
});

test('a file without any line ends is not kept in memory', async () => {
  const { taken, broken, lines: read } = await lines('x'.repeat(3 * MOST_LINE), 65_536);
  assert.deepEqual([taken.length, broken, read], [0, 1, 1]);
});

test('reading stops when nobody wants it any more', async () => {
  let many = 0;
  await readLines(stream('{}\n'.repeat(1_000)), { take: () => { many += 1; }, stopped: () => many >= 10 });
  assert.ok(many < 20);
});
