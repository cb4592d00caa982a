// Things that happened at frames, in order, bounded: the oldest go first.
// Knows not what a row says but its `frame`.

/**
 * @template {{frame: number}} Row
 * @param {number} most
 */
export function createRows(most) {
  /** @type {Row[]} */
  const rows = [];
  let dropped = 0;

  /** The place of the first row at or after `frame`. */
  function place(frame) {
    let low = 0;
    let high = rows.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (rows[middle].frame < frame) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  return {
    get length() { return rows.length; },
    /** How many were forgotten. */
    get dropped() { return dropped; },
    at: (index) => rows.at(index),
    get: (index) => rows[index],
    place,

    /** @param {Row} row @returns {Row} */
    add(row) {
      if (!rows.length || row.frame >= rows[rows.length - 1].frame) rows.push(row);
      else rows.splice(place(row.frame + 1), 0, row);
      if (rows.length > most) dropped += rows.splice(0, Math.max(1, most >> 3)).length;
      return row;
    },

    /** The last row that began at or before `frame`, or null. @returns {Row | null} */
    before: (frame) => rows[place(frame + 1) - 1] ?? null,

    /** The first row after `frame`, or null. @returns {Row | null} */
    after: (frame) => rows[place(frame + 1)] ?? null,

    /** The rows of [from, to), at most `limit`, the newest of them. @returns {Row[]} */
    within: (from, to, limit = 500) => rows.slice(Math.max(place(from), place(to) - limit), place(to)),
  };
}
