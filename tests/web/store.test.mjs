// The page's state: a pure function of its events.
// Knows no DOM.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createStore, INITIAL, MAX_NOTICES, MAX_UTTERANCES, reduce } from '../../web/store.js';

const after = (...events) => events.reduce(reduce, INITIAL);
const HELLO = { type: 'hello', session: 's', adapter: 'x', mode: 'steady', voice: {}, speech: 'IDLE' };
const said = (utterance, text, end = true) => ({ type: 'said', utterance, text, end });

test('a call begins, is live, ends', () => {
  assert.equal(after({ type: 'calling' }).phase, 'calling');
  const live = after({ type: 'calling' }, HELLO);
  assert.equal(live.phase, 'live');
  assert.equal(live.speech, 'idle');
  const ended = reduce(live, { type: 'ended', text: 'over' });
  assert.deepEqual([ended.phase, ended.farewell, ended.sound], ['idle', 'over', 'none']);
});

test('an unknown event changes nothing, not even the object', () => {
  assert.equal(reduce(INITIAL, { type: 'whatever' }), INITIAL);
});

test('no event changes the state it was given', () => {
  const state = Object.freeze({ ...after(HELLO, said('u', 'one two')), mic: Object.freeze({ ...INITIAL.mic }) });
  Object.freeze(state.utterances);
  state.utterances.forEach(Object.freeze);
  for (const event of [said('u', 'more'), { type: 'spoken', utterance: 'u', to: 3 }, { type: 'barged', utterance: 'u', heard: 2 }, { type: 'mic', mic: { muted: true } }]) {
    assert.doesNotThrow(() => reduce(state, event));
  }
});

test('pieces of one utterance are joined as given', () => {
  const [one] = after(said('u', 'one ', false), said('u', 'two', true)).utterances;
  assert.deepEqual([one.text, one.ended, one.fate], ['one two', true, 'queued']);
});

test('spoken words advance and never go back', () => {
  const state = after(HELLO, said('u', 'one two'), { type: 'spoken', utterance: 'u', from: 0, to: 5 }, { type: 'spoken', utterance: 'u', from: 0, to: 3 });
  assert.equal(state.utterances[0].heard, 5);
  assert.equal(state.utterances[0].fate, 'speaking');
  assert.equal(state.current, 'u');
});

test('the next utterance ends the one before as heard', () => {
  const state = after(said('a', 'one'), said('b', 'two'), { type: 'spoken', utterance: 'a', to: 3 }, { type: 'spoken', utterance: 'b', to: 1 });
  assert.deepEqual(state.utterances.map((one) => one.fate), ['heard', 'speaking']);
});

test('heard is never beyond the text, counted in characters', () => {
  const state = after(said('a', '🙂🙂'), { type: 'spoken', utterance: 'a', to: 99 });
  assert.equal(state.utterances[0].heard, 2);
});

test('a barge-in cuts back to what was heard, and resume goes on', () => {
  let state = after(HELLO, said('a', 'one two three'), { type: 'spoken', utterance: 'a', to: 9 }, { type: 'barged', utterance: 'a', heard: 7 });
  assert.deepEqual([state.utterances[0].fate, state.utterances[0].heard], ['cut', 7]);
  state = reduce(state, { type: 'spoken', utterance: 'a', to: 13 });
  assert.deepEqual([state.utterances[0].fate, state.utterances[0].heard], ['speaking', 13]);
});

test('the voice that yields is cut, the voice that idles was heard', () => {
  const speaking = after(HELLO, said('a', 'one'), { type: 'spoken', utterance: 'a', to: 2 });
  assert.equal(reduce(speaking, { type: 'speech', state: 'YIELDED' }).utterances[0].fate, 'cut');
  assert.equal(reduce(speaking, { type: 'speech', state: 'IDLE' }).utterances[0].fate, 'heard');
});

test('refused and stale pieces are told', () => {
  assert.equal(after(said('a', 'x'), { type: 'refused', utterance: 'a' }).utterances[0].fate, 'refused');
  assert.equal(after(said('a', 'x'), { type: 'stale', utterance: 'a' }).utterances[0].fate, 'cut');
});

test('words of an utterance this page does not know are no error', () => {
  assert.equal(after({ type: 'spoken', utterance: 'else', to: 4 }).current, 'else');
});

test('lists are bounded', () => {
  const state = Array.from({ length: 300 }, (_, at) => at).reduce(
    (held, at) => reduce(reduce(held, said(`u${at}`, 'x')), { type: 'notice', level: 'info', text: `${at}` }), INITIAL);
  assert.equal(state.utterances.length, MAX_UTTERANCES);
  assert.equal(state.notices.length, MAX_NOTICES);
});

test('only what is made up within speech counts as damage', () => {
  const figure = (concealed) => ({ type: 'figures', figures: { jitterMs: 30, concealed } });
  const speech = (state) => ({ type: 'speech', state });
  const state = after(HELLO, figure(0), figure(900), speech('speaking'), figure(1000), figure(1480), speech('idle'), figure(9000));
  assert.equal(state.figures.damage, 480);
  assert.equal(state.figures.concealed, 9000);
});

test('the volume stays between nothing and all', () => {
  assert.equal(after({ type: 'volume', volume: 7 }).volume, 1);
  assert.equal(after({ type: 'volume', volume: -1 }).volume, 0);
});

test('listeners see every state in order, also when one of them dispatches', () => {
  const store = createStore();
  const seen = [];
  store.watch((state) => { if (state.phase === 'calling') store.dispatch(HELLO); });
  store.watch((state, before) => seen.push([before.phase, state.phase]));
  store.dispatch({ type: 'calling' });
  assert.deepEqual(seen, [['idle', 'idle'], ['idle', 'calling'], ['calling', 'live']]);
});
