// Requests with ids, answers with deadlines, barge-in three times.
// Knows no data channel: lanes are arrays, time is a list of timers.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BARGE_AT_MS, createRequests, freshId, NoAnswer, NOW, refusalIn, SURE } from '../../web/channel.js';

function bench({ open = () => true } = {}) {
  const sent = [];
  const timers = [];
  let count = 0;
  const requests = createRequests(
    (text, lane) => {
      if (!open(lane)) return false;
      sent.push({ ...JSON.parse(text), lane });
      return true;
    },
    {
      later: (run, ms) => timers.push({ run, ms }) - 1,
      cancel: (at) => { if (timers[at]) timers[at].run = () => {}; },
      id: (prefix) => `${prefix}${(count += 1)}`,
    },
  );
  return { requests, sent, timers, fire: (ms) => timers.filter((one) => one.ms === ms).forEach((one) => one.run()) };
}

test('a request carries id, intent, inputs and is answered by its id', async () => {
  const { requests, sent } = bench();
  const answer = requests.ask('say', { text: 'x' }, { mode: 'steady' });
  assert.deepEqual(sent, [{ id: 'q1', intent: 'say', inputs: { text: 'x' }, mode: 'steady', lane: SURE }]);
  assert.equal(requests.settle({ id: 'other', result: 'done' }), false);
  assert.equal(requests.settle({ id: 'q1', result: 'done' }), true);
  assert.deepEqual(await answer, { id: 'q1', result: 'done' });
  assert.equal(requests.size, 0);
});

test('no answer before the deadline is NoAnswer', async () => {
  const { requests, fire } = bench();
  const answer = requests.ask('pause', {}, { deadlineMs: 70 });
  fire(70);
  await assert.rejects(answer, (problem) => problem instanceof NoAnswer && problem.intent === 'pause');
});

test('a closed channel fails at once', async () => {
  const { requests } = bench({ open: () => false });
  await assert.rejects(requests.ask('pause'), NoAnswer);
  await assert.rejects(requests.bargeIn('button').answer, NoAnswer);
  assert.equal(requests.size, 0);
});

test('a barge-in leaves three times with one id, the first at once', async () => {
  const { requests, sent, timers, fire } = bench();
  const { id, answer } = requests.bargeIn('button');
  assert.equal(sent.length, 1);
  for (const ms of BARGE_AT_MS) if (ms) fire(ms);
  assert.deepEqual(sent.map((one) => [one.id, one.intent, one.inputs.cause, one.lane]), Array(3).fill([id, 'barge_in', 'button', NOW]));
  assert.ok(timers.some((one) => one.ms === 500));
  assert.equal(requests.settle({ id, result: 'done' }), true);
  assert.equal(requests.settle({ id, result: 'done' }), false, 'the copy on the other channel');
  assert.equal((await answer).result, 'done');
});

test('where the fast lane is shut, the first goes by the sure one', () => {
  const { requests, sent } = bench({ open: (lane) => lane === SURE });
  requests.bargeIn('button').answer.catch(() => {});
  assert.deepEqual(sent.map((one) => one.lane), [SURE]);
});

test('the end of the call ends every question', async () => {
  const { requests } = bench();
  const answers = [requests.ask('pause'), requests.ask('resume')];
  requests.close();
  for (const one of await Promise.allSettled(answers)) assert.equal(one.status, 'rejected');
  assert.equal(requests.size, 0);
});

test('open questions are bounded', async () => {
  const { requests } = bench();
  const answers = Array.from({ length: 300 }, () => requests.ask('pause'));
  answers.forEach((one) => one.catch(() => {}));
  assert.equal(requests.size, 256);
  await assert.rejects(answers[0], NoAnswer);
  requests.close();
});

test('ids differ and fit the wire', () => {
  const ids = new Set(Array.from({ length: 500 }, () => freshId('q')));
  assert.equal(ids.size, 500);
  for (const id of ids) assert.match(id, /^[\x21-\x7e]{1,64}$/);
});

test('a refusal is found, anything else is none', () => {
  const refusal = { code: 'invalid', field: 'inputs.text', remedy: 'give text' };
  assert.equal(refusalIn({ result: { refusal } }), refusal);
  assert.equal(refusalIn({ result: 'done' }), null);
  assert.equal(refusalIn({}), null);
});
