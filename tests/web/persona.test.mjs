// A persona lies beneath the choices; what the server must be told; how well a voice is kept, in words.
// Knows no DOM.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { keptWords, missingIn, timbreIn, voiceOf } from '../../web/persona.js';
import { INITIAL, reduce } from '../../web/store.js';

const LOW = { persona: 'low', timbre: '', timbres: { one: 'm7' }, accent: 'en-GB', pace: 1.1, prosody: { pitch: -3, range: 1, volume: 1 } };
const PERSONAS = [{ name: 'low', description: 'Deep.', voice: LOW }];
const SERVER = { ...LOW, persona: '', timbres: {}, pace: 1, prosody: { pitch: 0, range: 1, volume: 1 } };

test('nothing chosen is the neutral voice', () => {
  const voice = voiceOf(PERSONAS, {});
  assert.deepEqual([voice.timbre, voice.accent, voice.pace, voice.prosody.pitch, voice.persona], ['', 'en-GB', 1, 0, '']);
});

test('a persona lies beneath what was chosen since', () => {
  const voice = voiceOf(PERSONAS, { persona: 'low', pace: 1.4 });
  assert.deepEqual([voice.pace, voice.prosody.pitch, voice.persona], [1.4, -3, 'low']);
});

test('its timbre has a name in each engine, until the person names one', () => {
  assert.equal(timbreIn(voiceOf(PERSONAS, { persona: 'low' }), 'one'), 'm7');
  assert.equal(timbreIn(voiceOf(PERSONAS, { persona: 'low' }), 'other'), '');
  assert.equal(timbreIn(voiceOf(PERSONAS, { persona: 'low', timbre: 'f2' }), 'one'), 'f2');
});

test('a persona that the server does not have is none', () => {
  assert.equal(voiceOf(PERSONAS, { persona: 'gone', pace: 2 }).persona, '');
  assert.equal(missingIn(PERSONAS, { persona: 'gone' }, SERVER), null);
});

test('a conversation is told the persona with all that was chosen over it, or only what is missing', () => {
  assert.deepEqual(missingIn(PERSONAS, { persona: 'low', pace: 1.4 }, SERVER), { persona: 'low', pace: 1.4 });
  assert.deepEqual(missingIn(PERSONAS, { persona: 'low', pace: 1.4 }, LOW), { pace: 1.4 });
  assert.deepEqual(missingIn(PERSONAS, { persona: '' }, LOW), { persona: '' });
  assert.equal(missingIn(PERSONAS, { persona: 'low', pace: 1.1, prosody: { pitch: -3 } }, LOW), null);
  assert.deepEqual(missingIn(PERSONAS, { timbre: '' }, LOW), { timbre: '' });
  assert.equal(missingIn(PERSONAS, {}, LOW), null);
});

test('how well a voice is kept is one line and a word for each field', () => {
  const { line, fields } = keptWords({ pace: 'exact', timbre: 'exact', 'prosody.pitch': 'approximate', accent: 'none' });
  assert.equal(line, 'Kept by this engine: 2 exactly, 1 nearly, 1 not');
  assert.deepEqual(fields.map((one) => `${one.name} ${one.word}`), ['Timbre exactly', 'Accent not', 'Pace exactly', 'Pitch nearly']);
});

test('where nobody knows, nothing is said', () => {
  assert.deepEqual(keptWords(null), { line: '', fields: [] });
  assert.deepEqual(keptWords(undefined), keptWords({}));
});

test('the state keeps what there is and what is honoured', () => {
  const listed = reduce(INITIAL, { type: 'adapters', adapters: [], personas: PERSONAS });
  assert.equal(listed.personas.length, 1);
  assert.deepEqual(reduce(listed, { type: 'config', adapter: 'one', honoured: { pace: 'exact' } }).config.honoured, { pace: 'exact' });
});
