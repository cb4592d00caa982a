// The conversation as the page lives it: calls, events in, intents out, calls again when one breaks.
// Knows no DOM: it changes the store, and the store changes the page.

import { placeCall } from './call.js';
import { createRequests, freshId, refusalIn } from './channel.js';
import { createHeard } from './heard.js';
import { createHush } from './hush.js';
import { createPlayout, frameOf } from './playout.js';
import { Trouble } from './http.js';
import { WAITS_MS, waitMs } from './reconnect.js';
import { pieces } from './typing.js';
import { listen } from './telemetry.js';
import { byeWords, errorWords, refusalWords } from './words.js';
import * as memory from './memory.js';

const PROTOCOL = 1;
/** Reasons of a `bye` that are somebody's mistake. */
const FAULTS = new Set(['fault', 'flood']);
/** Reasons of a `bye` after which the conversation is held: the server only lost the way to us. */
const HELD = new Set(['lost', 'remote']);
/** A change of engine may have to load a model first (ms). */
const CONFIGURE_MS = 60_000;
/** A live server answers in a few ms; a browser takes 8 s to see that one is gone. */
const DOUBT_MS = 2_000;
/** Words light up this close (ms) to when they are heard: eyes do not see less. */
const LOOK_MS = 50;
const NEW_ONE = 'The earlier conversation was over; this is a new one.';

/**
 * @param {{store: ReturnType<import('./store.js').createStore>, http: ReturnType<import('./http.js').createHttp>,
 *   audio: ReturnType<import('./audio.js').createAudio>, microphone: () => ReturnType<import('./microphone.js').createMicrophone>,
 *   iceServers: () => RTCIceServer[], mark: (name: string) => void, onTelemetry: (data: object) => void, wanted: () => object | null}} given
 */
export function createSession({ store, http, audio, microphone, iceServers, mark, onTelemetry, wanted }) {
  let call = null;
  let tries = 0;
  let again = null;
  let endTelemetry = () => {};
  let afterHello = [];
  /** The token this call was placed with: the conversation it hopes to find. */
  let hoped = '';

  const { dispatch } = store;
  const requests = createRequests((text, lane) => call?.send(text, lane) ?? false);
  const playout = createPlayout({
    source: () => call?.rtp() ?? null,
    stats: async () => call?.inbound() ?? null,
    send: (inputs) => requests.tell('playout', inputs),
    seen: (figures) => dispatch({ type: 'figures', figures }),
  });
  const hush = createHush({
    mute: () => { audio.mute(); mark('hushed'); dispatch({ type: 'hush', on: true }); },
    open: () => { audio.open(); mark('opened'); dispatch({ type: 'hush', on: false }); },
    played: () => playout.played(),
    quiet: () => audio.quiet(),
  });

  /** The timestamp of the session's frame 0 in this call, as its greeting told it. */
  let zero = null;
  let looking = null;
  const heardFrame = () => frameOf(playout.played(), zero);
  const heard = createHeard({ played: heardFrame, release: dispatch });

  // ---- calls

  function place() {
    const kept = memory.conversation();
    hoped = kept && Date.now() - kept.at < memory.HELD_MS ? kept.token : '';
    mark('call');
    call = placeCall({
      http,
      iceServers: iceServers(),
      conversation: hoped,
      track: microphone().track,
      echo: store.get().mic.wanted ? microphone().echo() : null,
      mark,
      onStream: (stream) => { void audio.attach(stream); },
      onMessage: receive,
      onLost: lost,
    });
  }

  function drop() {
    clearInterval(looking);
    heard.forget();
    playout.stop();
    requests.close();
    hush.refused();
    endTelemetry();
    endTelemetry = () => {};
    audio.detach();
    call = null;
  }

  function lost(trouble) {
    const wasLive = store.get().phase === 'live';
    if (wasLive) touch();
    drop();
    const { phase } = store.get();
    // a held conversation that is no longer known: once more, as a new one
    if (trouble.code === 'unknown' && memory.conversation()) {
      memory.keepConversation(null);
      tell('info', NEW_ONE);
      place();
      return;
    }
    const worth = wasLive || phase === 'reconnecting';
    const wait = worth && trouble.code !== 'locked' && trouble.code !== 'forbidden' ? waitMs(tries, trouble.retryS) : null;
    if (wait === null) {
      finish(worth && trouble.code !== 'gone' ? new Trouble('lost', errorWords('lost')) : trouble);
      return;
    }
    tries += 1;
    dispatch({ type: 'reconnecting', tries, triesMost: WAITS_MS.length });
    again = setTimeout(place, wait);
  }

  function finish(trouble) {
    tries = 0;
    afterHello = [];
    microphone().stop();
    dispatch({ type: 'ended', rejoin: memory.conversation() !== null && ['lost', 'gone'].includes(trouble.code) });
    dispatch({ type: 'error', code: trouble.code, text: trouble.message });
  }

  /** The conversation is held from now on: count its 30 s from here. */
  function touch() {
    const kept = memory.conversation();
    if (kept) memory.keepConversation(kept.token);
  }

  // ---- what the server says

  function receive(text) {
    let message;
    try {
      message = JSON.parse(text);
    } catch {
      return;
    }
    if (!message || typeof message !== 'object') return;
    if (typeof message.event === 'string') happened(message);
    else if (typeof message.id === 'string') requests.settle(message);
  }

  function happened(event) {
    switch (event.event) {
      case 'hello': return greeted(event);
      case 'flush':
        hush.flush(event.rtp);
        heard.look();
        heard.forget();
        mark('flush');
        return undefined;
      case 'speech': return spoke({ type: 'speech', state: event.state, utterance: event.utterance });
      case 'spoken': return heard.left(event.frame, { type: 'spoken', utterance: event.utterance, to: event.to });
      case 'config': return dispatch({ ...event, type: 'config' });
      case 'mic': return dispatch({ type: 'hearing', on: Boolean(event.speaking) });
      case 'notice': return tell(event.level, event.text);
      case 'bye': return farewell(event.reason);
      default: return undefined;
    }
  }

  /** The end of speech is the end of its words, and they are heard later than they leave. */
  function spoke(change) {
    if (String(change.state).toLowerCase() === 'idle') heard.then(change);
    else dispatch(change);
  }

  function greeted(event) {
    mark('hello');
    tries = 0;
    if (hoped && event.token !== hoped) tell('info', NEW_ONE);
    if (typeof event.token === 'string') memory.keepConversation(event.token);
    dispatch({ ...event, type: 'hello' });
    if (event.protocol !== undefined && event.protocol !== PROTOCOL) {
      tell('warning', `The server speaks version ${event.protocol} of the protocol, this page version ${PROTOCOL}. Reload the page.`);
    }
    playout.start(event.rtp);
    zero = Number.isInteger(event.rtp) ? event.rtp : null;
    looking = setInterval(heard.look, LOOK_MS);
    if (call.location) endTelemetry = listen(http.withToken(`${call.location}/events`), onTelemetry, doubt);
    const change = wanted();
    if (change) configure(change);
    const waiting = afterHello;
    afterHello = [];
    waiting.forEach((run) => run());
  }

  /** The feed broke: a server that still lives answers at once, and only the feed was lost. */
  function doubt() {
    const mine = call;
    requests.ask('describe', {}, { deadlineMs: DOUBT_MS }).catch(() => { if (call === mine) mine?.fail(); });
  }

  function farewell(reason) {
    if (HELD.has(reason)) {
      call?.fail();
      return;
    }
    call?.close();
    drop();
    memory.keepConversation(null);
    microphone().stop();
    const text = byeWords(String(reason ?? ''));
    dispatch({ type: 'ended', text });
    if (FAULTS.has(reason)) dispatch({ type: 'error', code: reason, text });
  }

  function tell(level, text) {
    if (level === 'error') dispatch({ type: 'error', code: 'notice', text: String(text) });
    else dispatch({ type: 'notice', level, text });
  }

  // ---- what the person wants

  function start() {
    if (store.get().phase !== 'idle') return;
    if (typeof RTCPeerConnection !== 'function') {
      dispatch({ type: 'error', code: 'no_webrtc', text: errorWords('no_webrtc') });
      return;
    }
    clearTimeout(again);
    dispatch({ type: 'calling' });
    place();
    // both after the offer is on its way: neither is needed for it
    audio.prepare();
    const { mic } = store.get();
    if (mic.wanted) void microphone().start(mic.device);
  }

  function hangUp() {
    clearTimeout(again);
    call?.hangUp();
    drop();
    tries = 0;
    afterHello = [];
    memory.keepConversation(null);
    microphone().stop();
    dispatch({ type: 'ended', text: 'You hung up.' });
  }

  function refused(intent, problem) {
    const { phase } = store.get();
    if (phase !== 'live') return;
    dispatch({ type: 'error', code: 'unanswered', text: `${errorWords('unanswered')} (${intent.replace('_', '-')})` });
  }

  async function ask(intent, inputs, options) {
    try {
      const response = await requests.ask(intent, inputs, options);
      const refusal = refusalIn(response);
      if (refusal) dispatch({ type: 'error', code: refusal.code, text: refusalWords(refusal) });
      return response;
    } catch (problem) {
      refused(intent, problem);
      return null;
    }
  }

  async function piece(utterance, text, end) {
    mark('say');
    // out first: drawing what was said takes milliseconds that the answer need not wait for
    const asked = ask('say', { utterance, text, end });
    dispatch({ type: 'said', utterance, text, end });
    const response = await asked;
    if (response === null || refusalIn(response)) dispatch({ type: 'refused', utterance });
    else if (response.result === 'stale') dispatch({ type: 'stale', utterance });
    return response;
  }

  /** Says text, or a further piece of an utterance. @param {string} text @param {{utterance?: string, end?: boolean}} [how] */
  function say(text, { utterance = freshId('u'), end = true } = {}) {
    const parts = pieces(text);
    if (!parts.length) parts.push('');
    parts.forEach((part, at) => void piece(utterance, part, end && at === parts.length - 1));
    return utterance;
  }

  /** Silence here in this instant; then there. @param {'button' | 'message'} cause */
  async function bargeIn(cause) {
    if (store.get().phase !== 'live') return;
    mark('bargein');
    hush.ask();
    try {
      const { answer } = requests.bargeIn(cause);
      const response = await answer;
      mark('barged');
      const refusal = refusalIn(response);
      if (refusal) dispatch({ type: 'error', code: refusal.code, text: refusalWords(refusal) });
      if (refusal || response.result === 'noop') hush.refused();
      else {
        hush.answered();
        const { utterance, heard } = response.artifacts ?? {};
        if (utterance) dispatch({ type: 'barged', utterance, heard });
      }
    } catch {
      hush.refused();
      if (store.get().phase === 'live') dispatch({ type: 'error', code: 'barge_unanswered', text: errorWords('barge_unanswered') });
    }
  }

  async function configure(change) {
    dispatch({ type: 'changing', on: true });
    await ask('configure', change, { deadlineMs: CONFIGURE_MS });
    dispatch({ type: 'changing', on: false });
  }

  /** Runs now, or once the call is there; places the call if there is none. @param {() => void} run */
  function whenLive(run) {
    if (store.get().phase === 'live') run();
    else {
      afterHello.push(run);
      start();
    }
  }

  /** The page goes away, perhaps into the back/forward cache. @returns {boolean} a call was cut by it */
  function leave() {
    clearTimeout(again);
    const { phase } = store.get();
    if (!call && phase !== 'reconnecting') return false;
    if (phase === 'live') touch();
    call?.leave();
    drop();
    dispatch({ type: 'reconnecting', tries: 1, triesMost: WAITS_MS.length });
    return true;
  }

  /** The page came back. */
  function comeBack() {
    if (store.get().phase !== 'reconnecting' || call) return;
    clearTimeout(again);
    tries = 1;
    place();
  }

  return {
    start, hangUp, say, bargeIn, configure, whenLive, leave, comeBack, ask,
    pause: () => ask('pause', {}),
    resume: () => ask('resume', {}),
    useTrack: (track) => call?.useTrack(track),
    stats: async () => (await call?.inbound())?.stats ?? null,
    rtp: () => playout.played(),
    heard: heardFrame,
    get pc() { return call?.pc ?? null; },
    get hush() { return hush.state; },
  };
}
