// Every state and every failure has a sentence; tries are bounded.
// Knows no DOM.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { INITIAL } from '../../web/store.js';
import { byeWords, errorWords, microphoneTrouble, refusalWords, status } from '../../web/words.js';
import { Trouble, createHttp, troubleOf } from '../../web/http.js';
import { WAITS_MS, waitMs } from '../../web/reconnect.js';
import { HELD_MS } from '../../web/memory.js';

test('every state of the call and of speech is told', () => {
  for (const phase of ['idle', 'calling', 'live', 'reconnecting']) {
    for (const speech of ['idle', 'priming', 'speaking', 'draining', 'yielded', 'paused', 'unheard of']) {
      for (const mic of ['off', 'asking', 'on', 'failed']) {
        const { look, title, line } = status({ ...INITIAL, phase, speech, mic: { ...INITIAL.mic, state: mic }, tries: 1, triesMost: 6 });
        assert.ok(look && title && line);
      }
    }
  }
});

test('microphone exceptions become codes with words', () => {
  for (const name of ['NotAllowedError', 'SecurityError', 'NotFoundError', 'OverconstrainedError', 'NotReadableError', 'AbortError']) {
    const words = errorWords(microphoneTrouble({ name }));
    assert.match(words, /text/i);
  }
  assert.match(errorWords('mic_insecure'), /https/);
});

test('refusals of the server are sentences with their remedy', () => {
  assert.equal(refusalWords({ code: 'empty', field: 'inputs.text', remedy: 'give some text' }), 'Not done – text: give some text.');
  for (const status_ of [400, 401, 403, 404, 406, 413, 415, 429, 500, 503]) {
    const trouble = troubleOf(status_, null, null);
    assert.ok(trouble instanceof Trouble && trouble.message.endsWith('.'));
  }
  assert.equal(troubleOf(503, null, 7).retryS, 7);
  assert.ok(byeWords('something new').includes('something new'));
});

test('a dead server is told, a token goes in the header only', async () => {
  const gone = createHttp('', async () => { throw new TypeError('x'); });
  await assert.rejects(gone.request('/calls'), { code: 'gone' });
  let seen = null;
  const http = createHttp('s3cret', async (path, init) => { seen = { path, init }; return new Response('{}'); });
  await http.json('/adapters');
  assert.equal(seen.init.headers.Authorization, 'Bearer s3cret');
  assert.equal(seen.path, '/adapters');
  assert.equal(http.withToken('/calls/1/bye'), '/calls/1/bye?access_token=s3cret');
});

test('tries grow, are bounded and fall into the time a conversation is held', () => {
  const waits = WAITS_MS.map((_, at) => waitMs(at));
  assert.deepEqual([...waits].sort((a, b) => a - b), waits);
  assert.equal(waitMs(WAITS_MS.length), null);
  assert.ok(waits.reduce((sum, one) => sum + one, 0) < HELD_MS);
  assert.equal(waitMs(0, 3), 3_000);
  assert.equal(waitMs(0, 3_600), 10_000);
});
