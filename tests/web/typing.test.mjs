// Stream as you type: which words may leave; long text in pieces; characters as the server counts them.
// Knows no text box.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { characters, createSplitter, pieces, unitsOf } from '../../web/typing.js';

/** Types text key by key; returns what left. */
function type(splitter, text, before = '') {
  const out = [];
  let value = before;
  for (const key of text) {
    value += key;
    const piece = splitter.feed(value);
    if (piece) out.push(piece);
  }
  return { out, value };
}

test('a word leaves when a space follows it, the rest on enter', () => {
  const splitter = createSplitter();
  const { out, value } = type(splitter, 'one two  three');
  assert.deepEqual(out, ['one ', 'two ', ' ']);
  assert.equal(splitter.sent, true);
  assert.equal(splitter.finish(value), 'three');
});

test('joined the pieces are what was typed, whatever was typed', () => {
  for (const text of ['a b c', '  lead', 'x', '你好，世界。好', 'tab\tnew\nline', 'e\u0301 🙂 ok', ' ']) {
    const splitter = createSplitter();
    const { out, value } = type(splitter, text);
    assert.equal(out.join('') + splitter.finish(value), text.trim() ? text : '');
  }
});

test('nothing leaves for spaces alone', () => {
  const splitter = createSplitter();
  assert.deepEqual(type(splitter, '   ').out, []);
  assert.equal(splitter.finish('   '), '');
  assert.equal(splitter.sent, false);
});

test('a pasted text leaves in one piece up to its last word', () => {
  const splitter = createSplitter();
  assert.equal(splitter.feed('one two three'), 'one two ');
  assert.equal(splitter.finish('one two three'), 'three');
});

test('what was only deleted is not said again', () => {
  const splitter = createSplitter();
  splitter.feed('one two ');
  assert.equal(splitter.feed('one two'), '');
  assert.equal(splitter.feed('one tw'), '');
  assert.equal(splitter.feed('one two '), '');
  assert.equal(splitter.finish('one two '), '');
});

test('a word changed after it was said is said again, alone', () => {
  const splitter = createSplitter();
  splitter.feed('one twi ');
  assert.equal(splitter.feed('one two'), '');
  assert.equal(splitter.feed('one two '), 'two ');
  assert.equal(splitter.finish('one two three'), 'three');
});

test('after a cut what was said stays said, the rest is another utterance', () => {
  const splitter = createSplitter();
  splitter.feed('one two ');
  splitter.cut();
  assert.equal(splitter.sent, false);
  assert.equal(splitter.finish('one two three'), 'three');
});

test('a reset forgets', () => {
  const splitter = createSplitter();
  splitter.feed('one ');
  splitter.reset();
  assert.equal(splitter.feed('one '), 'one ');
});

test('long text is cut at words into pieces that fit', () => {
  const text = 'Ein „Wort" nach dem anderen 🙂\n'.repeat(2_000);
  const parts = pieces(text, 1_000);
  assert.equal(parts.join(''), text);
  for (const part of parts) assert.ok(new TextEncoder().encode(JSON.stringify(part)).length <= 1_000);
  for (const part of parts.slice(0, -1)) assert.match(part, /\s$/);
});

test('text without words is cut all the same, never inside a character', () => {
  const text = '🙂'.repeat(3_000);
  const parts = pieces(text, 1_000);
  assert.equal(parts.join(''), text);
  for (const part of parts) assert.ok(part.isWellFormed ? part.isWellFormed() : !/[\ud800-\udbff]$/.test(part));
});

test('short text is one piece, none is none', () => {
  assert.deepEqual(pieces('hello'), ['hello']);
  assert.deepEqual(pieces(''), []);
});

test('characters are counted as the server counts them', () => {
  assert.equal(characters('a🙂b'), 3);
  assert.equal(unitsOf('a🙂b', 2), 3);
  assert.equal(unitsOf('a🙂b', 0), 0);
  assert.equal(unitsOf('a🙂b', 99), 4);
});
