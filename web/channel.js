// Requests over the data channels: ids, answers as promises with a deadline, barge-in three times.
// Knows no channel: it is given how to send text on a lane and how to wait.

/** Lanes: `sure` is ordered and reliable, `now` is unordered without retransmits. */
export const SURE = 'sure';
export const NOW = 'now';

/** A barge-in survives two lost packets: the same id leaves at these times (ms). */
export const BARGE_AT_MS = [0, 20, 60];
/** Without an answer to a barge-in the page opens its sound again (ms). */
export const BARGE_DEADLINE_MS = 500;
const DEADLINE_MS = 8_000;
/** More open questions than this means nobody answers; the oldest is given up. */
const MAX_OPEN = 256;

/** Nobody answered in time, or the call ended first. */
export class NoAnswer extends Error {
  constructor(intent, why) {
    super(`${intent}: ${why}`);
    this.name = 'NoAnswer';
    this.intent = intent;
    this.why = why;
  }
}

/**
 * An id nobody else uses. `crypto.randomUUID` is missing outside secure contexts, this is not.
 * @param {string} prefix
 */
export function freshId(prefix) {
  const bytes = crypto.getRandomValues(new Uint8Array(9));
  return `${prefix}-${Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')}`;
}

/** @param {{result?: unknown}} response @returns {{code: string, field: string, remedy: string} | null} */
export function refusalIn(response) {
  const refusal = response?.result?.refusal ?? response?.refusal;
  return refusal && typeof refusal === 'object' ? refusal : null;
}

/**
 * @param {(text: string, lane: string) => boolean} send true when the text left
 * @param {{later?: (run: () => void, ms: number) => unknown, cancel?: (timer: unknown) => void, id?: (prefix: string) => string}} [clock]
 */
export function createRequests(send, { later = (run, ms) => setTimeout(run, ms), cancel = (t) => clearTimeout(t), id = freshId } = {}) {
  /** @type {Map<string, {intent: string, done: Function, fail: Function, timer: unknown}>} */
  const open = new Map();

  function giveUp(key, why) {
    const asked = open.get(key);
    if (!asked) return;
    open.delete(key);
    cancel(asked.timer);
    asked.fail(new NoAnswer(asked.intent, why));
  }

  function expect(key, intent, deadlineMs) {
    if (open.size >= MAX_OPEN) giveUp(open.keys().next().value, 'too many open requests');
    return new Promise((done, fail) => {
      open.set(key, { intent, done, fail, timer: later(() => giveUp(key, 'no answer in time'), deadlineMs) });
    });
  }

  /**
   * Asks on the reliable lane.
   * @param {string} intent @param {object} inputs @param {{mode?: string, deadlineMs?: number}} [options]
   * @returns {Promise<object>} the response; rejects with NoAnswer
   */
  function ask(intent, inputs = {}, { mode, deadlineMs = DEADLINE_MS } = {}) {
    const key = id('q');
    const answer = expect(key, intent, deadlineMs);
    const message = mode ? { id: key, intent, inputs, mode } : { id: key, intent, inputs };
    if (!send(JSON.stringify(message), SURE)) giveUp(key, 'no connection');
    return answer;
  }

  /**
   * Takes the floor: one id, three packets on the fast lane, the first in this very call.
   * Where the fast lane is not open the first goes by the reliable one.
   * @param {string} cause @returns {{id: string, answer: Promise<object>}}
   */
  function bargeIn(cause) {
    const key = id('b');
    const answer = expect(key, 'barge_in', BARGE_DEADLINE_MS);
    const text = JSON.stringify({ id: key, intent: 'barge_in', inputs: { cause } });
    for (const at of BARGE_AT_MS) {
      if (at > 0) later(() => send(text, NOW), at);
      else if (!send(text, NOW) && !send(text, SURE)) giveUp(key, 'no connection');
    }
    return { id: key, answer };
  }

  /** Says something that is not answered. */
  const tell = (intent, inputs) => send(JSON.stringify({ intent, inputs }), NOW);

  /** Takes a response from the wire; false for one nobody waits for (the second copy of a barge-in's answer). */
  function settle(response) {
    const asked = open.get(response.id);
    if (!asked) return false;
    open.delete(response.id);
    cancel(asked.timer);
    asked.done(response);
    return true;
  }

  /** The call ended: nobody will answer. */
  function close() {
    for (const key of [...open.keys()]) giveUp(key, 'the call ended');
  }

  return { ask, bargeIn, tell, settle, close, get size() { return open.size; } };
}
