// The playout clock: which RTP timestamp is being played, reported as the heartbeat.
// Knows no peer connection: it is given how to read the source, the statistics and how to send.

const WRAP = 2 ** 32;

/** Reports leave this often (ms); the server takes 3 s of silence for a lost page. */
export const REPORT_MS = 200;
const STATS_MS = 1_000;

/**
 * How far `a` is ahead of `b`, as RTP timestamps that wrap at 2^32.
 * @param {number} a @param {number} b @returns {number} samples, in [-2^31, 2^31)
 */
export function ahead(a, b) {
  const apart = ((a - b) % WRAP + WRAP) % WRAP;
  return apart >= WRAP / 2 ? apart - WRAP : apart;
}

/** @param {number | null} played @param {number} mark @returns {boolean} the frame at `mark` is over */
export const passed = (played, mark) => played !== null && ahead(played, mark) > 0;

/**
 * The session's frame that a timestamp falls in; the call began within half the clock's turn (12 hours).
 * @param {number | null} rtp @param {number | null} zero timestamp of frame 0 @returns {number | null}
 */
export const frameOf = (rtp, zero) => (rtp === null || zero === null ? null : Math.floor(ahead(rtp, zero) / 960));

/**
 * Delay in the jitter buffer between two readings.
 * @param {{delayS: number, emitted: number} | null} before @param {{delayS: number, emitted: number}} now
 * @returns {number | null} ms, null when nothing was played in between
 */
export function jitterMs(before, now) {
  const samples = now.emitted - (before?.emitted ?? 0);
  if (!(samples > 0)) return null;
  const ms = (1000 * (now.delayS - (before?.delayS ?? 0))) / samples;
  return Number.isFinite(ms) && ms >= 0 ? Math.round(ms * 10) / 10 : null;
}

/**
 * @param {{source: () => number | null, stats: () => Promise<{delayS: number, emitted: number, concealed: number} | null>,
 *   send: (inputs: {rtp: number, jitter_ms: number, concealed: number}) => void, seen?: (figures: {jitterMs: number, concealed: number}) => void}} given
 */
export function createPlayout({ source, stats, send, seen = () => {} }) {
  let rtp = null;
  let timers = [];
  let figures = { jitterMs: 0, concealed: 0 };
  let before = null;

  /** The timestamp at the loudspeaker now; browsers forget it 10 s after the last packet, we do not. */
  function played() {
    const found = source();
    if (Number.isInteger(found) && found >= 0 && found < WRAP) rtp = found;
    return rtp;
  }

  function report() {
    if (played() === null) return;
    send({ rtp, jitter_ms: figures.jitterMs, concealed: figures.concealed });
  }

  async function measure() {
    const now = await stats();
    if (!now) return;
    figures = { jitterMs: jitterMs(before, now) ?? figures.jitterMs, concealed: Math.max(0, Math.floor(now.concealed)) };
    before = now;
    seen(figures);
  }

  return {
    played,
    /** @param {number | undefined} first where the server's clock stands, so that the heartbeat starts before any sound */
    start(first) {
      this.stop();
      if (rtp === null && Number.isInteger(first)) rtp = ((first % WRAP) + WRAP) % WRAP;
      timers = [setInterval(report, REPORT_MS), setInterval(() => void measure(), STATS_MS)];
      report();
    },
    stop() {
      timers.forEach(clearInterval);
      timers = [];
    },
    get figures() { return figures; },
  };
}
