// What every frame was, in columns, with coarser copies: one look per pixel, however long the call.
// Knows no record and no canvas; a frame is 20 ms of the session.

/** Frames of one block. A block exists only where something happened: an idle hour costs nothing. */
export const BLOCK = 4_096;
/** Four hours that sounded (about 12 MB); what is older is forgotten, oldest first. */
export const MOST_BLOCKS = 176;
/** Each copy is four times coarser than the one before it; the last holds a block in one entry. */
const FOLD = 4;
const SIZES = [1, 4, 16, 64, 256, 1_024, BLOCK];
const STARTS = SIZES.map((_, at) => SIZES.slice(0, at).reduce((sum, size) => sum + BLOCK / size, 0));
const ENTRIES = STARTS.at(-1) + 1;

/** What left in a frame, as bits so that a coarse entry can hold several. */
export const KINDS = Object.freeze({ voice: 1, cut: 2, tail: 4, fill: 8 });
/** Depth (ms) of a frame that has none. */
export const NO_DEPTH = 65_535;
/** Engines told apart by colour; a ninth shares the last one. */
export const MOST_ENGINES = 8;
/** A lag of 5 s and more is one thing. */
const MOST_LAG = 250;

function createBlock() {
  return {
    kinds: new Uint8Array(ENTRIES), engines: new Uint8Array(ENTRIES), level: new Uint8Array(ENTRIES),
    low: new Uint16Array(ENTRIES).fill(NO_DEPTH), high: new Uint16Array(ENTRIES),
    lag: new Uint8Array(ENTRIES), concealed: new Uint16Array(ENTRIES),
    chunk: new Int32Array(BLOCK).fill(-1),
  };
}

/**
 * What lies in one pixel: masks of `kinds` and `engines`, loudest `level`, `low` and `high` depth (ms),
 * `lag` (frames between sent and heard, plus one; 0 is unknown), `concealed` samples made up at the far end.
 * @typedef {{kinds: number, engines: number, level: number, low: number, high: number, lag: number, concealed: number}} Look
 */

export function createFrames() {
  /** @type {Map<number, ReturnType<typeof createBlock>>} */
  const blocks = new Map();
  let first = Infinity;
  let end = 0;

  function blockOf(frame) {
    const index = Math.floor(frame / BLOCK);
    let block = blocks.get(index);
    if (!block) {
      block = createBlock();
      blocks.set(index, block);
      while (blocks.size > MOST_BLOCKS) forget();
    }
    first = Math.min(first, frame);
    end = Math.max(end, frame + 1);
    return block;
  }

  function forget() {
    const oldest = Math.min(...blocks.keys());
    blocks.delete(oldest);
    first = Math.max(first, (oldest + 1) * BLOCK);
  }

  /** Calls `enter(entry)` for the frame and everything coarser that holds it. */
  function throughout(frame, enter) {
    const within = frame % BLOCK;
    for (let at = 0; at < SIZES.length; at += 1) enter(STARTS[at] + Math.floor(within / SIZES[at]));
  }

  return {
    get first() { return first === Infinity ? 0 : first; },
    get end() { return end; },
    get size() { return blocks.size; },

    /** A frame left. @param {number} frame @param {number} kind one of KINDS @param {number} level 0 to 255 @param {number} engine index @param {number} chunk */
    sounded(frame, kind, level, engine, chunk) {
      const block = blockOf(frame);
      block.chunk[frame % BLOCK] = chunk;
      const mask = engine < 0 ? 0 : 1 << Math.min(engine, MOST_ENGINES - 1);
      throughout(frame, (entry) => {
        block.kinds[entry] |= kind;
        block.engines[entry] |= mask;
        if (level > block.level[entry]) block.level[entry] = level;
      });
    },

    /** So many ms lay in the buffer. */
    deep(frame, ms) {
      const block = blockOf(frame);
      const depth = Math.max(0, Math.min(NO_DEPTH - 1, Math.round(ms)));
      throughout(frame, (entry) => {
        if (depth < block.low[entry]) block.low[entry] = depth;
        if (depth > block.high[entry]) block.high[entry] = depth;
      });
    },

    /** At this frame the far end played one that is `lag` frames older, and had made up `samples` since it last said so. */
    heard(frame, lag, samples) {
      const block = blockOf(frame);
      const late = Math.max(0, Math.min(MOST_LAG, lag)) + 1;
      throughout(frame, (entry) => {
        if (late > block.lag[entry]) block.lag[entry] = late;
        block.concealed[entry] = Math.min(65_535, block.concealed[entry] + samples);
      });
    },

    /** @returns {boolean} a depth is known for this frame */
    hasDepth: (frame) => (blocks.get(Math.floor(frame / BLOCK))?.low[frame % BLOCK] ?? NO_DEPTH) !== NO_DEPTH,

    /** @returns {number} the chunk that sounds in a frame, -1 where none does */
    chunkAt: (frame) => blocks.get(Math.floor(frame / BLOCK))?.chunk[frame % BLOCK] ?? -1,

    /**
     * Everything in [from, to), by the coarsest entries that fit: some thirty reads for any width.
     * @param {number} from @param {number} to @returns {Look}
     */
    look(from, to) {
      const into = { kinds: 0, engines: 0, level: 0, low: NO_DEPTH, high: 0, lag: 0, concealed: 0 };
      let frame = Math.max(0, from, this.first);
      const stop = Math.min(to, end);
      while (frame < stop) {
        const block = blocks.get(Math.floor(frame / BLOCK));
        if (!block) {
          frame = (Math.floor(frame / BLOCK) + 1) * BLOCK;
          continue;
        }
        let at = 0;
        while (at + 1 < SIZES.length && frame % (SIZES[at] * FOLD) === 0 && frame + SIZES[at + 1] <= stop) at += 1;
        const entry = STARTS[at] + (frame % BLOCK) / SIZES[at];
        into.kinds |= block.kinds[entry];
        into.engines |= block.engines[entry];
        if (block.level[entry] > into.level) into.level = block.level[entry];
        if (block.low[entry] < into.low) into.low = block.low[entry];
        if (block.high[entry] > into.high) into.high = block.high[entry];
        if (block.lag[entry] > into.lag) into.lag = block.lag[entry];
        into.concealed += block.concealed[entry];
        frame += SIZES[at];
      }
      return into;
    },
  };
}
