// Text on its way out: what of a box being typed in may be said already, and long text in pieces.
// Knows no text box and no channel.

/** Room for the rest of the message below the 16 KiB of the wire (bytes of JSON). */
export const PIECE_BYTES = 12_000;

const encoder = new TextEncoder();
const weight = (text) => encoder.encode(JSON.stringify(text)).length;

/** Words end at white space; scripts without spaces end them at their own punctuation. */
const WORD_END = /[\s。、！？，；：]/u;

/** The longest start of `text` that ends a word, as a length. */
function wholeWords(text) {
  for (let at = text.length; at > 0; at -= 1) if (WORD_END.test(text[at - 1])) return at;
  return 0;
}

function common(a, b) {
  let at = 0;
  while (at < a.length && at < b.length && a[at] === b[at]) at += 1;
  return at;
}

/**
 * Long text in pieces that fit a message, cut at words where there are any.
 * @param {string} text @param {number} [limit] bytes of JSON per piece
 * @returns {string[]} joined they are `text`
 */
export function pieces(text, limit = PIECE_BYTES) {
  const found = [];
  let rest = text;
  while (weight(rest) > limit) {
    let low = 1;
    let high = Math.min(rest.length, limit);
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (weight(rest.slice(0, middle)) <= limit) low = middle;
      else high = middle - 1;
    }
    let cut = wholeWords(rest.slice(0, low)) || low;
    // never between the two halves of a character
    const half = rest.charCodeAt(cut - 1);
    if (cut > 1 && half >= 0xd800 && half <= 0xdbff) cut -= 1;
    found.push(rest.slice(0, cut));
    rest = rest.slice(cut);
  }
  if (rest) found.push(rest);
  return found;
}

/**
 * Stream as you type. What was sent cannot be unsaid: a word changed afterwards is said again, as people do;
 * what was only deleted is not.
 * @returns {{feed: (value: string) => string, finish: (value: string) => string, reset: () => void, sent: boolean}}
 */
export function createSplitter() {
  let said = '';
  let any = false;

  /** The part of `value` that is not said, after agreeing on what of it is. */
  function rest(value) {
    if (value.startsWith(said)) return value.slice(said.length);
    if (said.startsWith(value)) return '';
    said = said.slice(0, wholeWords(said.slice(0, common(said, value))));
    return value.slice(said.length);
  }

  function take(text) {
    if (!text) return '';
    said += text;
    any = true;
    return text;
  }

  return {
    /** @returns {string} the whole words that may leave now, or empty */
    feed(value) {
      const left = rest(value);
      const piece = left.slice(0, wholeWords(left));
      return any || piece.trim() ? take(piece) : '';
    },
    /** @returns {string} what is left when the typing ended */
    finish(value) {
      const left = rest(value);
      return any || left.trim() ? take(left) : '';
    },
    reset() {
      said = '';
      any = false;
    },
    /** The floor was taken: what follows is another utterance, what was said stays said. */
    cut() { any = false; },
    get sent() { return any; },
  };
}

/**
 * The start of `text` up to a position counted in characters, as the server counts (code points, not UTF-16).
 * @param {string} text @param {number} count @returns {number} the position in UTF-16 units
 */
export function unitsOf(text, count) {
  let units = 0;
  let left = count;
  for (const character of text) {
    if (left <= 0) break;
    units += character.length;
    left -= 1;
  }
  return units;
}

/** @param {string} text @returns {number} characters as the server counts them */
export function characters(text) {
  return Array.from(text).length;
}
