// How long to wait before the next try, and when to stop trying.
// Knows no call.

/** Waits before each try (ms): all of them fall into the 30 s a conversation is held. */
export const WAITS_MS = [200, 1_000, 2_000, 4_000, 7_000, 10_000];

/**
 * @param {number} tries tries already made
 * @param {number | null} retryS what the server asked for, in seconds
 * @returns {number | null} ms to wait, null when enough was tried
 */
export function waitMs(tries, retryS = null) {
  if (tries >= WAITS_MS.length) return null;
  return Math.max(WAITS_MS[tries], retryS ? Math.min(retryS, 10) * 1000 : 0);
}
