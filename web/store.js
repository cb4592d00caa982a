// The page's one state and the pure function that changes it.
// Knows no DOM, no network and no clock: events come in complete.

import { characters } from './typing.js';

/** Utterances, notices kept: what a person scrolls back through, not a log. */
export const MAX_UTTERANCES = 60;
export const MAX_NOTICES = 3;

/**
 * @typedef {{id: string, text: string, heard: number, fate: 'queued' | 'speaking' | 'heard' | 'cut' | 'refused', ended: boolean}} Utterance
 * `heard` in characters (code points) of `text`
 * @typedef {{adapter: string, mode: string, voice: Record<string, any> | null, honoured: Record<string, string> | null, chunk: number | null, version: number | null}} Config
 * @typedef {{
 *   phase: 'idle' | 'calling' | 'live' | 'reconnecting', tries: number, triesMost: number, farewell: string, rejoin: boolean,
 *   error: {code: string, text: string} | null, notices: {key: number, level: string, text: string}[],
 *   sound: 'none' | 'playing' | 'blocked', volume: number, hushed: boolean, proof: string,
 *   mic: {wanted: boolean, state: 'off' | 'asking' | 'on' | 'failed', muted: boolean, device: string, devices: {id: string, label: string}[]},
 *   hearing: boolean, speech: string, session: string, config: Config | null, changing: boolean,
 *   adapters: any[], personas: any[], fallback: string, initial: string, utterances: Utterance[], current: string | null,
 *   figures: {jitterMs: number, concealed: number, speaking: boolean, damage: number}
 * }} State
 */

/** @type {State} */
export const INITIAL = Object.freeze({
  phase: 'idle', tries: 0, triesMost: 0, farewell: '', rejoin: false,
  error: null, notices: [],
  sound: 'none', volume: 1, hushed: false, proof: '',
  mic: { wanted: true, state: 'off', muted: false, device: '', devices: [] },
  hearing: false, speech: 'idle', session: '', config: null, changing: false,
  adapters: [], personas: [], fallback: '', initial: '', utterances: [], current: null,
  figures: { jitterMs: 0, concealed: 0, speaking: false, damage: 0 },
});

const voiced = new Set(['speaking', 'draining', 'paused']);

/** That there is no microphone stays true in a call that works. */
const lasting = (error) => (error?.code.startsWith('mic_') ? error : null);

function configOf(event) {
  return {
    adapter: String(event.adapter ?? ''), mode: String(event.mode ?? ''), voice: event.voice ?? null,
    honoured: event.honoured ?? null,
    chunk: Number.isFinite(event.chunk) ? event.chunk : null, version: Number.isFinite(event.version) ? event.version : null,
  };
}

const quiet = { speech: 'idle', hearing: false, hushed: false, changing: false, sound: 'none' };

/** What was being said when nothing more comes: heard to its end, or cut short. */
function settleSpoken(utterances) {
  return utterances.map((one) => (one.fate === 'speaking' ? { ...one, fate: 'heard' } : one));
}

/** What was under way in a conversation that is over: nobody will say it. */
function cutShort(utterances) {
  return utterances.map((one) => (one.fate === 'speaking' || one.fate === 'queued' ? { ...one, fate: 'cut' } : one));
}

function change(utterances, id, how) {
  return utterances.map((one) => (one.id === id ? { ...one, ...how(one) } : one));
}

function said(state, { utterance, text, end }) {
  const known = state.utterances.some((one) => one.id === utterance);
  const utterances = known
    ? change(state.utterances, utterance, (one) => ({ text: one.text + text, ended: end }))
    : [...state.utterances, { id: utterance, text, heard: 0, fate: 'queued', ended: end }].slice(-MAX_UTTERANCES);
  const current = state.current === null || !voiced.has(state.speech) ? utterance : state.current;
  return { ...state, utterances, current, error: lasting(state.error), farewell: '' };
}

function spoken(state, { utterance, to }) {
  const at = state.utterances.findIndex((one) => one.id === utterance);
  if (at < 0) return { ...state, current: utterance };
  const utterances = state.utterances.map((one, index) => {
    if (index === at) return { ...one, fate: 'speaking', heard: Math.max(one.heard, Math.min(to, characters(one.text))) };
    return one.fate === 'speaking' ? { ...one, fate: 'heard' } : one;
  });
  return { ...state, utterances, current: utterance };
}

function bargedIn(state, { utterance, heard }) {
  const id = utterance ?? state.current;
  return {
    ...state,
    utterances: change(state.utterances, id, (one) => (one.fate === 'refused' ? {} : {
      fate: 'cut', heard: Number.isFinite(heard) ? Math.min(heard, characters(one.text)) : one.heard,
    })),
  };
}

function speech(state, { state: name, utterance }) {
  const now = String(name).toLowerCase();
  let { utterances } = state;
  if (now === 'idle') utterances = settleSpoken(utterances);
  if (now === 'yielded') utterances = utterances.map((one) => (one.fate === 'speaking' ? { ...one, fate: 'cut' } : one));
  if (utterance && (now === 'speaking' || now === 'priming')) {
    utterances = change(utterances, utterance, (one) => (one.fate === 'cut' || one.fate === 'queued' ? { fate: now === 'speaking' ? 'speaking' : 'queued' } : {}));
  }
  return { ...state, speech: now, utterances, current: utterance && now !== 'idle' ? utterance : state.current };
}

/** Between sentences nothing is sent and the browser fills in; only what it makes up within speech is damage. */
function figures(state, { jitterMs, concealed }) {
  const speaking = voiced.has(state.speech) && state.speech !== 'paused';
  const before = state.figures;
  const grown = speaking && before.speaking ? Math.max(0, concealed - before.concealed) : 0;
  return { jitterMs, concealed, speaking, damage: before.damage + grown };
}

let keys = 0;

function notice(state, { level, text }) {
  keys += 1;
  return { ...state, notices: [...state.notices, { key: keys, level: String(level), text: String(text) }].slice(-MAX_NOTICES) };
}

/**
 * @param {State} state @param {{type: string} & Record<string, any>} event
 * @returns {State} the same object when nothing changed
 */
export function reduce(state, event) {
  switch (event.type) {
    case 'remembered':
      return {
        ...state, volume: event.volume ?? state.volume, rejoin: Boolean(event.rejoin),
        mic: { ...state.mic, wanted: event.mic ?? state.mic.wanted, device: event.device ?? state.mic.device },
      };
    case 'calling':
      return { ...state, ...quiet, phase: 'calling', error: null, farewell: '', tries: 0, proof: '', notices: [], figures: INITIAL.figures };
    case 'reconnecting':
      return { ...state, ...quiet, phase: 'reconnecting', tries: event.tries, triesMost: event.triesMost };
    case 'hello':
      return {
        ...state, phase: 'live', tries: 0, rejoin: false, session: String(event.session ?? ''),
        error: lasting(state.error),
        config: configOf(event), speech: String(event.speech ?? 'idle').toLowerCase(),
        utterances: String(event.session ?? '') === state.session ? state.utterances : cutShort(state.utterances),
      };
    case 'ended':
      return {
        ...state, ...quiet, phase: 'idle', farewell: event.text ?? '', rejoin: Boolean(event.rejoin),
        utterances: cutShort(state.utterances),
      };
    case 'rejoin':
      return { ...state, rejoin: event.on };
    case 'error':
      return { ...state, error: { code: event.code, text: event.text } };
    case 'dismiss':
      return { ...state, error: null };
    case 'notice':
      return notice(state, event);
    case 'unnotice':
      return { ...state, notices: state.notices.filter((one) => one.key !== event.key) };
    case 'sound':
      return state.sound === event.sound ? state : { ...state, sound: event.sound };
    case 'hush':
      return { ...state, hushed: event.on };
    case 'proof':
      return { ...state, proof: event.text };
    case 'volume':
      return { ...state, volume: Math.max(0, Math.min(1, event.volume)) };
    case 'mic':
      return { ...state, mic: { ...state.mic, ...event.mic } };
    case 'hearing':
      return { ...state, hearing: event.on };
    case 'adapters':
      return { ...state, adapters: event.adapters, personas: event.personas ?? [], fallback: event.fallback ?? '', initial: event.initial ?? '' };
    case 'config':
      return { ...state, config: configOf(event), changing: false };
    case 'changing':
      return { ...state, changing: event.on };
    case 'figures':
      return { ...state, figures: figures(state, event.figures) };
    case 'speech':
      return speech(state, event);
    case 'said':
      return said(state, event);
    case 'spoken':
      return spoken(state, event);
    case 'barged':
      return bargedIn(state, event);
    case 'refused':
      return { ...state, utterances: change(state.utterances, event.utterance, () => ({ fate: 'refused' })) };
    case 'stale':
      return { ...state, utterances: change(state.utterances, event.utterance, () => ({ fate: 'cut' })) };
    default:
      return state;
  }
}

/**
 * @param {State} [state]
 * @returns {{get: () => State, dispatch: (event: object) => void, watch: (listener: (state: State, before: State) => void) => () => void}}
 */
export function createStore(state = INITIAL) {
  const listeners = new Set();
  let busy = false;
  const waiting = [];
  return {
    get: () => state,
    dispatch(event) {
      // one event at a time, also when a listener dispatches: each sees the states in order
      waiting.push(event);
      if (busy) return;
      busy = true;
      try {
        while (waiting.length) {
          const before = state;
          state = reduce(state, waiting.shift());
          if (state !== before) for (const listener of listeners) listener(state, before);
        }
      } finally {
        busy = false;
      }
    },
    watch(listener) {
      listeners.add(listener);
      listener(state, state);
      return () => listeners.delete(listener);
    },
  };
}
