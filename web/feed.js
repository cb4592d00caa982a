// A session's log as it is written: server-sent events, resumed by their number when the line breaks.
// Knows no lane.

/** A log is on the disk a tenth of a second after its session began; asked for sooner it is not known yet. */
const FIRST_MS = 400;
const AGAIN_MS = 3_000;
/** An answer that is no stream ends the browser's own tries; ours are these many. */
const TRIES = 5;

/**
 * @param {(after: number) => string} path from the event after that number on
 * @param {{take: (record: any) => void, ended: () => void, broken: (why: any) => void, again?: () => boolean, after?: number}} on
 * `again`: whether a broken line is worth another try
 * @returns {() => void} stops it
 */
export function follow(path, { take, ended, broken, again = () => true, after = -1 }) {
  /** @type {EventSource | null} */
  let source = null;
  let seen = after;
  let tries = 0;
  let timer = setTimeout(open, FIRST_MS);

  function parsed(event) {
    try {
      return JSON.parse(event.data);
    } catch {
      return null;
    }
  }

  function open() {
    source = new EventSource(path(seen));
    source.onmessage = (event) => {
      const record = parsed(event);
      const number = event.lastEventId === '' ? NaN : Number(event.lastEventId);
      if (!record) return;
      tries = 0;
      if (Number.isInteger(number)) seen = number;
      take(Number.isInteger(number) ? { ...record, seq: number } : record);
    };
    source.addEventListener('broken', (event) => broken(parsed(event)));
    source.addEventListener('end', () => {
      source.close();
      ended();
    });
    source.addEventListener('error', () => {
      if (!again()) source.close();
      else if (source.readyState === EventSource.CLOSED && (tries += 1) < TRIES) timer = setTimeout(open, AGAIN_MS);
    });
  }

  return () => {
    clearTimeout(timer);
    source?.close();
  };
}
