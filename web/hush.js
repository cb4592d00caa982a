// When the page is silent after a barge-in: at once, until the playout has passed the flush.
// Knows no audio and no clock: both are given. States: open, asked (no answer yet), flushed (waiting for the playout).

import { BARGE_DEADLINE_MS } from './channel.js';
import { passed } from './playout.js';

/** After a flush everything old has left the jitter buffer by now (ms), whatever the clock says. */
export const FLUSH_LIMIT_MS = 1_000;
/** A cut whose timestamp we do not know (yet): a generous jitter buffer of silence (ms). */
export const UNNAMED_FLUSH_MS = 250;
/**
 * The clock stands at the jitter buffer; up to this much of the old sound is still on its way from there to the gain
 * (ms). Most often the silence after the cut is seen to arrive before.
 */
export const SETTLE_MS = 60;
const POLL_MS = 10;

/**
 * @typedef {{state: 'open'} | {state: 'asked', since: number} | {state: 'flushed', since: number, rtp: number | null, passedAt?: number}} Hush
 * `since` in ms of the given clock
 */

/** @type {Hush} */
export const OPEN = Object.freeze({ state: 'open' });

/**
 * @param {Hush} hush
 * @param {{type: 'ask'} | {type: 'flush', rtp?: number} | {type: 'refused'} | {type: 'answered'} | {type: 'look', played: number | null, quiet: boolean}} event
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
      return look(hush, event, now);
    default:
      return hush;
  }
}

function look(hush, { played, quiet }, now) {
  if (hush.state === 'open') return hush;
  const waited = now - hush.since;
  if (hush.state === 'asked') return waited >= BARGE_DEADLINE_MS ? OPEN : hush;
  if (hush.rtp === null) return waited >= UNNAMED_FLUSH_MS ? OPEN : hush;
  if (waited >= FLUSH_LIMIT_MS) return OPEN;
  if (!passed(played, hush.rtp)) return hush;
  if (quiet || now - (hush.passedAt ?? now) >= SETTLE_MS) return OPEN;
  return hush.passedAt === undefined ? { ...hush, passedAt: now } : hush;
}

/**
 * @param {{mute: () => void, open: () => void, played: () => number | null, quiet?: () => boolean, now?: () => number}} given
 * `quiet`: what arrives before the gain is silent now
 */
export function createHush({ mute, open, played, quiet = () => true, now = () => performance.now() }) {
  let hush = OPEN;
  let timer = null;

  function take(event) {
    const before = hush.state;
    hush = step(hush, event, now());
    if (hush.state !== 'open' && before === 'open') {
      mute();
      timer = setInterval(() => take({ type: 'look', played: played(), quiet: quiet() }), POLL_MS);
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
    },
    get state() { return hush.state; },
  };
}
