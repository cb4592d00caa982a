// When the page is silent after a barge-in: at once, until the playout has passed the flush.
// Knows no audio and no clock: both are given. States: open, asked (no answer yet), flushed (waiting for the playout).

import { BARGE_DEADLINE_MS } from './channel.js';
import { passed } from './playout.js';

/** After a flush everything old has left the jitter buffer by now (ms), whatever the clock says. */
export const FLUSH_LIMIT_MS = 1_000;
/** A cut whose timestamp we do not know (yet): a generous jitter buffer of silence (ms). */
export const UNNAMED_FLUSH_MS = 250;
const POLL_MS = 10;

/**
 * @typedef {{state: 'open'} | {state: 'asked', since: number} | {state: 'flushed', since: number, rtp: number | null}} Hush
 * `since` in ms of the given clock
 */

/** @type {Hush} */
export const OPEN = Object.freeze({ state: 'open' });

/**
 * @param {Hush} hush
 * @param {{type: 'ask'} | {type: 'flush', rtp?: number} | {type: 'refused'} | {type: 'answered'} | {type: 'look', played: number | null}} event
 * @param {number} now ms
 * @returns {Hush}
 */
export function step(hush, event, now) {
  switch (event.type) {
    case 'ask':
      return { state: 'asked', since: now };
    case 'flush':
      return { state: 'flushed', since: now, rtp: Number.isInteger(event.rtp) ? event.rtp : null };
    case 'refused':
      return OPEN;
    case 'answered':
      // the flush event says where to open and may come after the answer, which travels the faster lane
      return hush.state === 'asked' ? { state: 'flushed', since: now, rtp: null } : hush;
    case 'look':
      return over(hush, event.played, now) ? OPEN : hush;
    default:
      return hush;
  }
}

function over(hush, played, now) {
  if (hush.state === 'asked') return now - hush.since >= BARGE_DEADLINE_MS;
  if (hush.state !== 'flushed') return false;
  if (hush.rtp === null) return now - hush.since >= UNNAMED_FLUSH_MS;
  return passed(played, hush.rtp) || now - hush.since >= FLUSH_LIMIT_MS;
}

/**
 * @param {{mute: () => void, open: () => void, played: () => number | null, now?: () => number}} given
 */
export function createHush({ mute, open, played, now = () => performance.now() }) {
  let hush = OPEN;
  let timer = null;

  function take(event) {
    const before = hush.state;
    hush = step(hush, event, now());
    if (hush.state !== 'open' && before === 'open') {
      mute();
      timer = setInterval(() => take({ type: 'look', played: played() }), POLL_MS);
    } else if (hush.state === 'open' && before !== 'open') {
      clearInterval(timer);
      timer = null;
      open();
    }
  }

  return {
    ask: () => take({ type: 'ask' }),
    refused: () => take({ type: 'refused' }),
    answered: () => take({ type: 'answered' }),
    /** @param {number | undefined} rtp timestamp of the frame after which all is new */
    flush(rtp) {
      // a flush that the playout has passed already must not dip into the new sound
      if (hush.state === 'open' && Number.isInteger(rtp) && passed(played(), rtp)) return;
      take({ type: 'flush', rtp });
      take({ type: 'look', played: played() });
    },
    get state() { return hush.state; },
  };
}
