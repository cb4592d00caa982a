// Lines of JSON from a stream, one by one: a file of any length never lies in memory whole.
// Knows no record; a line that is no JSON is counted and left out.

/** A line of a log is at most some hundred kB (a text, the state of an engine). */
export const MOST_LINE = 4_000_000;
/** Work on a long file is put aside this often (ms), so that a call on the same page goes on. */
const SLICE_MS = 10;

const breath = () => new Promise((go) => setTimeout(go, 0));

/**
 * @param {ReadableStream<Uint8Array>} stream
 * @param {{take: (value: any, line: number) => void, bytes?: (read: number) => void, stopped?: () => boolean}} how
 * @returns {Promise<{lines: number, broken: number, firstBroken: number}>} `firstBroken` is a line from 0, or -1
 */
export async function readLines(stream, { take, bytes = () => {}, stopped = () => false }) {
  const reader = stream.getReader();
  const decoder = new TextDecoder();
  const found = { lines: 0, broken: 0, firstBroken: -1 };
  let rest = '';
  let skipping = false;
  let read = 0;
  let since = performance.now();

  function line(text) {
    const at = found.lines;
    found.lines += 1;
    try {
      if (skipping) throw new RangeError('too long');
      take(JSON.parse(text), at);
    } catch (problem) {
      if (!(problem instanceof SyntaxError || problem instanceof RangeError)) throw problem;
      found.broken += 1;
      if (found.firstBroken < 0) found.firstBroken = at;
    }
    skipping = false;
  }

  async function split(text) {
    const parts = (rest + text).split('\n');
    rest = parts.pop();
    for (const part of parts) {
      if (stopped()) return;
      if (part || skipping) line(part);
      if (performance.now() - since > SLICE_MS) {
        await breath();
        since = performance.now();
      }
    }
    if (rest.length > MOST_LINE) {
      rest = '';
      skipping = true;
    }
  }

  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done || stopped()) break;
      read += value.byteLength;
      bytes(read);
      await split(decoder.decode(value, { stream: true }));
    }
    if (!stopped() && (rest.trim() || skipping)) line(rest + decoder.decode());
  } finally {
    reader.cancel().catch(() => {});
  }
  return found;
}
