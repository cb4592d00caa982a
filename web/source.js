// What was asked to be said: the text of each utterance, so that a word can be shown where it sounds.
// Knows no frame. Characters are code points, as the server counts them.

/** Utterances and characters kept: an hour of talk has some 60,000. The oldest go first. */
export const MOST_UTTERANCES = 4_000;
export const MOST_CHARACTERS = 1_000_000;

export function createSource() {
  /** @type {Map<string, string[]>} */
  const texts = new Map();
  let characters = 0;

  function forget() {
    const [oldest, held] = texts.entries().next().value;
    characters -= held.length;
    texts.delete(oldest);
  }

  return {
    get size() { return texts.size; },
    get characters() { return characters; },

    /** A piece of an utterance that begins at character `from` of it. */
    add(utterance, from, text) {
      const held = texts.get(utterance) ?? [];
      const piece = [...text];
      if (!Number.isInteger(from) || from < 0 || from + piece.length > MOST_CHARACTERS) return;
      while (held.length < from) held.push(' ');
      characters += Math.max(0, from + piece.length - held.length);
      piece.forEach((one, at) => { held[from + at] = one; });
      texts.set(utterance, held);
      while (texts.size > MOST_UTTERANCES || (characters > MOST_CHARACTERS && texts.size > 1)) forget();
    },

    /** Characters [from, to) of an utterance; dots where a log keeps no text. */
    slice(utterance, from, to) {
      const held = texts.get(utterance);
      if (!held) return '·'.repeat(Math.max(1, Math.min(12, to - from)));
      return held.slice(from, to).join('').trim();
    },
  };
}
