// Lines of a log file in full.
// Knows no log of the server's: the golden ones are what it wrote.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { restorer } from '../../web/thrift.js';

const all = (...rows) => rows.map(restorer());
const HEADER = { kind: 'header', frame: 0, lean: true, h: '00' };

test('what is left out comes back, what is gone does not', () => {
  const found = all(
    HEADER,
    { kind: 'word', frame: 1, from: 0, utterance: 'u', h: '01' },
    { kind: 'word', frame: 2, sure: false, h: '02' },
    { kind: 'speech', frame: 2, state: 'IDLE', h: '03' },
    { '-': ['sure'], kind: 'word', from: 4, h: '04' },
    { '-': true, kind: 'word', frame: 9, h: '05' },
  );
  assert.deepEqual(found.slice(2), [
    { kind: 'word', frame: 2, from: 0, utterance: 'u', sure: false, h: '02' },
    { kind: 'speech', frame: 2, state: 'IDLE', h: '03' },
    { kind: 'word', frame: 2, from: 4, utterance: 'u', h: '04' },
    { kind: 'word', frame: 9, h: '05' },
  ]);
});

test('what is whole passes as it is', () => {
  const sent = [{ kind: 'header', frame: 0, seq: 0 }, { kind: 'word', frame: 1, from: 0, seq: 1 }, { kind: 'word', frame: 2, seq: 2 }];
  assert.deepEqual(all(...sent), sent);
  const plain = [{ kind: 'header', frame: 0, h: '00' }, { kind: 'word', frame: 1, from: 0, h: '01' }, { kind: 'word', frame: 2, h: '02' }];
  assert.deepEqual(all(...plain), plain);
  assert.deepEqual(all(HEADER, null, 7, { broken: {} }).slice(1), [null, 7, { broken: {} }]);
});

test('every record of a golden log has what all records have', () => {
  const lines = readFileSync(new URL('../golden/v2.jsonl', import.meta.url), 'utf8').trim().split('\n');
  for (const record of all(...lines.map((line) => JSON.parse(line)))) {
    for (const name of ['kind', 'frame', 'stage', 'result', 'surface', 'duration_ms']) assert.ok(name in record, `${record.kind} ${name}`);
    if (record.kind === 'request') assert.equal(typeof record.text, 'string');
  }
});
