// Words wait until they are heard: the server says when one leaves, the loudspeaker says where it is.
// Knows no page: it is given which frame is played, and releases what is due.

/** A minute of words; a page that hears nothing for so long lets the oldest go. */
export const MOST_WAITING = 400;
/** Who cannot say what is played, or stands still (ms) while words wait, is not waited for. */
export const PATIENCE_MS = 1_500;

/**
 * @param {{played: () => number | null, release: (event: any) => void, now?: () => number}} given
 * `played`: the frame at the loudspeaker, null where nobody can say
 */
export function createHeard({ played, release, now = () => performance.now() }) {
  /** @type {{frame: number, event: any}[]} */
  let waiting = [];
  let last = null;
  let moved = 0;

  /** Releases what is heard by now. */
  function look() {
    if (!waiting.length) return;
    const frame = played();
    if (frame !== last) {
      last = frame;
      moved = now();
    }
    const stuck = frame === null || now() - moved > PATIENCE_MS;
    while (waiting.length && (stuck || !(waiting[0].frame > frame))) release(waiting.shift().event);
  }

  function wait(frame, event) {
    if (!waiting.length) moved = now();
    waiting.push({ frame, event });
    while (waiting.length > MOST_WAITING) release(waiting.shift().event);
    look();
  }

  return {
    get size() { return waiting.length; },
    look,
    /** A word left in a frame; without one it is heard at once. */
    left: wait,
    /** What happens when all that left before is heard. */
    then: (event) => (waiting.length ? wait(waiting.at(-1).frame, event) : release(event)),
    /** What has not been heard never will be: the floor was taken. */
    forget() { waiting = []; },
  };
}
