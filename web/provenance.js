// Where a frame comes from: engine, chunk, window, cost, and what it said.
// Pure: reads a track.

import { KINDS, NO_DEPTH } from './frames.js';
import { decibels } from './sounded.js';

const NAMES = Object.entries(KINDS);
/** A cost below this (ms) is said with its tenth. */
const EXACT = 10;

/**
 * @param {ReturnType<import('./track.js').createTrack>} track @param {number} frame
 * @returns {{frame: number, kind: string, adapter: string | null, chunk_id: number | null, window_tokens: number[] | null, render_ms: number | null,
 *   text_range: number[] | null, word: string, level_db: number | null, depth_ms: number | null, lag: number | null}}
 */
export function provenance(track, frame) {
  const look = track.frames.look(frame, frame + 1);
  const id = track.frames.chunkAt(frame);
  const chunk = id < 0 ? null : track.chunk(id);
  const word = look.kinds & KINDS.voice ? track.lanes.words.before(frame) : null;
  const [kind = 'nothing'] = NAMES.find(([, bit]) => look.kinds & bit) ?? [];
  return {
    frame, kind,
    adapter: chunk?.adapter ?? null, chunk_id: id < 0 ? null : id, window_tokens: chunk?.window ?? null, render_ms: chunk?.render ?? null,
    text_range: chunk?.range ?? null, word: word ? track.source.slice(word.utterance, word.from, word.to) : '',
    level_db: look.level ? decibels(look.level) : null, depth_ms: look.low === NO_DEPTH ? null : look.low, lag: look.lag ? look.lag - 1 : null,
  };
}

const SAID = { voice: 'voice', cut: 'cut off', tail: 'silence after speech', fill: 'a hole', nothing: 'nothing sent' };

/** The same in words. @param {ReturnType<typeof provenance>} facts */
export function told(facts) {
  const { frame, kind, adapter, chunk_id: chunk, window_tokens: window, render_ms: render } = facts;
  const parts = [`frame ${frame}`];
  if (chunk === null) parts.push(SAID[kind]);
  else {
    parts.push(`${adapter} · chunk ${chunk}${kind === 'voice' ? '' : ` (${SAID[kind]})`}`);
    if (window) parts.push(`window ${window[0]}–${window[1]}`);
    parts.push(render === null ? 'not rendered yet' : `${render < EXACT ? render.toFixed(1) : Math.round(render)} ms render`);
  }
  if (facts.depth_ms !== null) parts.push(`${facts.depth_ms} ms deep`);
  if (facts.word) parts.push(`“${facts.word}”`);
  return parts.join(' · ');
}
