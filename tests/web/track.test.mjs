// Records of a log become lanes: what sounded, from where, how deep the buffer was, what was said.
// Knows no canvas.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { KINDS } from '../../web/frames.js';
import { provenance, told } from '../../web/provenance.js';
import { createTrack, MOST_OFTEN } from '../../web/track.js';
import { MOST_CHARACTERS, createSource } from '../../web/source.js';
import { restorer } from '../../web/thrift.js';
import { barge, chunk, heard, hole, pace, session, sounding, speech } from './synthetic.mjs';

const track = (...records) => {
  const made = createTrack();
  records.flat().forEach((record) => made.take(record));
  return made;
};

test('a frame leads to its engine, chunk, window and cost', () => {
  const made = track(chunk(4, 10, 12, 48_000, { adapter: 'tone', window: [2_341, 5_852] }), sounding(20, 30, { position: 9_600, chunk: 4 }));
  const facts = provenance(made, 25);
  assert.deepEqual([facts.adapter, facts.chunk_id, facts.window_tokens, facts.render_ms], ['tone', 4, [2_341, 5_852], 42.5]);
  assert.match(told(facts), /tone · chunk 4 · window 2341–5852 · 43 ms render/);
  assert.deepEqual([provenance(made, 99).kind, provenance(made, 99).chunk_id], ['nothing', null]);
});

test('depth is what was written less what is read, frame by frame', () => {
  const made = track(chunk(0, 0, 1, 9_600), sounding(5, 10, { position: 0 }));
  assert.deepEqual([5, 6, 9].map((frame) => made.frames.look(frame, frame + 1).low), [200, 180, 120]);
});

test('an old log tells the depth at each request: it counts from what is read there', () => {
  const made = track(chunk(0, 7, 99, 0, { depth: 300 }).slice(0, 1), sounding(5, 10, { position: 48_000 }));
  assert.deepEqual([6, 7, 9].map((frame) => made.frames.look(frame, frame + 1).low), [20, 300, 260]);
});

test('a barge-in empties the buffer, and what lands later counts from there', () => {
  const made = track(chunk(0, 0, 1, 96_000), barge(7, 'button'), chunk(1, 8, 9, 12_000), sounding(5, 12, { position: 0 }));
  assert.deepEqual([6, 7, 9].map((frame) => made.frames.look(frame, frame + 1).low), [1_980, 20, 170]);
});

test('words of an utterance are found in the pieces it came in, counted in characters', () => {
  const base = { kind: 'input', frame: 0, end: false, utterance: 'u' };
  const made = track({ ...base, text: '🙂 one ', from: 0, to: 6 }, { ...base, text: 'two', from: 6, to: 9 });
  assert.equal(made.source.slice('u', 2, 5), 'one');
  assert.equal(made.source.slice('u', 6, 9), 'two');
  assert.equal(made.source.slice('private', 0, 4), '····');
});

test('spans last until what ends them: pauses, the caller, a hole, a seam', () => {
  const made = track(
    speech(1, 'SPEAKING'), speech(40, 'PAUSED'), speech(60, 'SPEAKING'),
    { kind: 'mic', frame: 10, speaking: true }, { kind: 'mic', frame: 25, speaking: false },
    hole(70), { ...hole(74), stage: 'fill' }, { ...hole(76), stage: 'finish' },
    { kind: 'swap', frame: 80, stage: 'swap', adapter_from: 'a', adapter_to: 'b' }, { kind: 'swap', frame: 91, stage: 'blended', adapter: 'b' },
  );
  const spans = (lane) => Array.from({ length: made.lanes[lane].length }, (_, at) => made.lanes[lane].get(at)).map(({ frame, to }) => [frame, to]);
  assert.deepEqual(spans('held'), [[1, 40], [40, 60], [60, null]]);
  assert.deepEqual(spans('mic'), [[10, 25]]);
  assert.deepEqual(spans('trouble'), [[70, 76]]);
  assert.deepEqual(spans('engine'), [[80, 91]]);
});

test('what the far end plays is a lag, and what it made up since the last report', () => {
  const made = track(heard(50, 100, 4), heard(60, 1_000, 5), heard(70, 1_000, 6));
  assert.deepEqual([50, 60, 70].map((frame) => made.frames.look(frame, frame + 1)).map(({ lag, concealed }) => [lag - 1, concealed]), [[4, 100], [5, 900], [6, 0]]);
});

test('a record that was taken is not taken twice, and gaps are counted', () => {
  const made = createTrack();
  const gap = { kind: 'log_gap', frame: 3, records: 12, why: 'disk', seq: 5 };
  assert.deepEqual([made.take(gap), made.take(gap), made.take({ ...gap, seq: 4 })], [true, false, false]);
  assert.deepEqual([made.about.gaps, made.about.lost, made.lanes.trouble.length], [1, 12, 1]);
});

test('a tool action has its lane before anything feeds it', () => {
  const made = track({ kind: 'tool', frame: 12, to: 40, stage: 'search', result: 'ok' });
  assert.deepEqual([made.lanes.tools.get(0).frame, made.lanes.tools.get(0).to, made.lanes.tools.get(0).group], [12, 40, 'tool']);
});

test('nonsense is left out, whatever it is', () => {
  const made = createTrack();
  for (const one of [null, 5, [], {}, { kind: 'frames' }, { kind: '__proto__', frame: 1 }, { kind: 'toString', frame: 1 }, { kind: 'input', frame: -1 }, { kind: 'input', frame: 'x' }]) made.take(one);
  assert.equal(made.about.records, 0);
  made.take({ kind: 'frames', frame: 0, from: 0, to: 2e15, runs: [[0, 'voice', 0, []]] });
  made.take({ kind: 'frames', frame: 0, from: 0, to: 5, runs: [[9, 'voice', 0, []], 'x', [1, 'odd', 0, []]], level: '%%%' });
  made.take({ kind: 'request', frame: 1 });
  made.take({ kind: 'input', frame: 1, text: 'x', from: 1e12, utterance: 'far' });
  assert.equal(made.frames.look(0, 100).kinds, 0);
  assert.equal(made.source.characters, 0);
});

test('an hour goes in, and every lane stays within its bound', () => {
  const made = createTrack();
  for (const record of session(180_000)) made.take(record);
  const look = made.frames.look(0, 180_000);
  assert.equal(look.kinds, KINDS.voice | KINDS.tail);
  assert.equal(look.engines, 3);
  assert.ok(made.lanes.chunks.length > 5_000);
  for (const rows of Object.values(made.lanes)) assert.ok(rows.length <= MOST_OFTEN);
});

test('texts are bounded in characters, the oldest go first', () => {
  const source = createSource();
  for (let at = 0; at < 30; at += 1) source.add(`u${at}`, 0, 'x'.repeat(100_000));
  assert.ok(source.characters <= MOST_CHARACTERS);
  assert.equal(source.slice('u29', 0, 3), 'xxx');
  assert.match(source.slice('u0', 0, 3), /^·+$/);
});

test('ten looks a second give a depth to every frame, before the log has any', () => {
  const made = createTrack();
  made.snapshot({ frame: 10, depth_ms: 100, rungs: [20, 40] });
  made.snapshot({ frame: 15, depth_ms: 80 });
  made.snapshot({ frame: 90, depth_ms: 60 });
  assert.deepEqual([10, 11, 15].map((frame) => made.frames.look(frame, frame + 1).low), [100, 80, 80]);
  assert.equal(made.frames.hasDepth(50), false);
  assert.deepEqual(made.about.rungs, [20, 40]);
});

test('a pace without numbers draws no band', () => {
  assert.deepEqual(track(pace(1, { low_ms: undefined, high_ms: undefined })).lanes.pace.get(0).high, 0);
});

test('a log as the server writes it fills the lanes', () => {
  const made = createTrack();
  const whole = restorer();
  readFileSync(new URL('../golden/v2.jsonl', import.meta.url), 'utf8').trim().split('\n').forEach((line) => made.take(whole(JSON.parse(line))));
  const { first, end } = made.extent();
  const look = made.frames.look(first, end);
  assert.ok(look.kinds & KINDS.voice && look.level > 0 && look.high > 0);
  assert.ok(made.lanes.inputs.length && made.lanes.chunks.length && made.lanes.words.length);
  const sounds = Array.from({ length: end - first }, (_, at) => provenance(made, first + at)).filter((one) => one.kind === 'voice');
  assert.ok(sounds.length > 0 && sounds.every((one) => one.adapter && one.window_tokens && one.render_ms !== null));
});
