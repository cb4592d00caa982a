// The page put together: memory, server, sound, conversation, views.
// Decides nothing itself: every rule lives in the module that is named for it.

import { createAudio } from './audio.js';
import { warmUp } from './call.js';
import { mountComposer } from './composer.js';
import { mountControls } from './controls.js';
import { mountEvents } from './events.js';
import { createHello } from './hello.js';
import { createHttp } from './http.js';
import * as memory from './memory.js';
import { createMicrophone } from './microphone.js';
import { mountPanel } from './panel.js';
import { createProbe } from './probe.js';
import { createSession } from './session.js';
import { mountSound } from './sound.js';
import { mountSpoken } from './spoken.js';
import { mountStage } from './stage.js';
import { createStore } from './store.js';
import { empty, take } from './timeline.js';
import { errorWords } from './words.js';

const $ = (id) => document.getElementById(id);

const choice = memory.choices();
const http = createHttp(memory.accessToken());
const store = createStore();
const series = empty();
let iceServers = [];

/** When things happened, epoch ms: the newest of each name. */
const marks = {};
const mark = (name) => { marks[name] = performance.timeOrigin + performance.now(); };

const audio = createAudio((sound) => {
  if (sound === 'playing') mark('sound');
  store.dispatch({ type: 'sound', sound });
});

const microphone = createMicrophone({
  onTrack: (track) => session.useTrack(track),
  onChange: (mic) => store.dispatch({ type: 'mic', mic }),
  onTrouble: (code) => store.dispatch({ type: 'error', code, text: errorWords(code) }),
  context: () => audio.context,
});

const session = createSession({
  store, http, audio, mark,
  microphone: () => microphone,
  iceServers: () => iceServers,
  // to go on by itself is the server's own way; only the other choice has to be told
  wanted: () => (memory.choices().afterVoice === 'wait' ? { ...controls.wanted(), after_voice: 'wait' } : controls.wanted()),
  onTelemetry: (data) => {
    take(series, data);
    panel.refresh();
    events.draw();
    figures();
  },
});

const hello = createHello({
  say: (text) => session.say(text),
  rms: () => audio.rms(),
  energy: async () => (await session.stats())?.totalAudioEnergy ?? 0,
  route: () => audio.route,
  volume: () => store.get().volume,
  blocked: () => store.get().sound === 'blocked',
  tell: (text) => store.dispatch({ type: 'proof', text }),
  live: () => store.get().phase === 'live',
});

// ---- views

mountStage({
  store,
  levels: () => ({ out: audio.rms(), mic: store.get().mic.muted ? 0 : microphone.rms() }),
  intents: {
    call: session.start,
    hangUp: session.hangUp,
    mute: (on) => microphone.mute(on),
    hello: () => session.whenLive(() => void hello()),
    tap: () => void audio.tap(),
  },
});

mountSpoken({ store });

mountComposer({
  store, choice, keep: memory.keepChoices,
  intents: {
    say: (text, how) => session.whenLive(() => session.say(text, how)),
    bargeIn: session.bargeIn,
    pause: session.pause,
    resume: session.resume,
  },
});

mountSound({
  store, choice, keep: memory.keepChoices,
  intents: {
    microphone(on) {
      store.dispatch({ type: 'mic', mic: { wanted: on } });
      if (store.get().phase === 'idle') return;
      if (on) void microphone.start(store.get().mic.device);
      else microphone.stop();
    },
    device(id) {
      store.dispatch({ type: 'mic', mic: { device: id } });
      if (store.get().phase !== 'idle') void microphone.start(id);
    },
    afterVoice(what) {
      if (store.get().phase === 'live') void session.ask('configure', { after_voice: what });
    },
    volume(level) {
      audio.setVolume(level);
      store.dispatch({ type: 'volume', volume: level });
    },
  },
});

const controls = mountControls({ store, choice, keep: memory.keepChoices, configure: session.configure });
const panel = mountPanel({ canvas: $('panel'), legend: $('legend'), readout: $('readout'), blank: $('chart-empty'), series });
const events = mountEvents({ list: $('events'), details: document.querySelector('.events-box'), series });

function figures() {
  if (document.hidden) return;
  const last = series.points.at(-1);
  const { jitterMs, damage } = store.get().figures;
  const live = store.get().phase === 'live';
  $('fig-depth').textContent = last ? `${Math.round(last.depthMs)} ms` : '–';
  $('fig-chunk').textContent = last?.rung == null ? '–' : `${Math.round(last.rung)} ms`;
  $('fig-frame').textContent = last ? String(last.frame) : '–';
  $('fig-jitter').textContent = live && jitterMs ? `${Math.round(jitterMs)} ms` : '–';
  $('fig-concealed').textContent = live ? `${Math.round(damage / 48)} ms` : '–';
}
store.watch((state, before) => {
  if (state.session === before.session) return;
  // another conversation counts its own frames
  Object.assign(series, empty());
  events.clear();
  panel.refresh();
});
store.watch((state, before) => { if (state.figures !== before.figures || state.phase !== before.phase) figures(); });

// ---- remembered

const volume = typeof choice.volume === 'number' ? Math.max(0, Math.min(1, choice.volume)) : 1;
audio.setVolume(volume);
const held = memory.conversation();
const rejoin = held !== null && Date.now() - held.at < memory.HELD_MS;
store.dispatch({ type: 'remembered', volume, mic: choice.mic !== false, device: typeof choice.device === 'string' ? choice.device : '', rejoin });
if (rejoin) setTimeout(() => store.dispatch({ type: 'rejoin', on: false }), memory.HELD_MS - (Date.now() - held.at));
if (!window.isSecureContext) store.dispatch({ type: 'error', code: 'mic_insecure', text: errorWords('mic_insecure') });
void microphone.list();

// ---- what the server offers: asked once, before anybody calls

async function survey() {
  try {
    const [listed, able, cast] = await Promise.all(['/adapters', '/capabilities', '/personas'].map((path) => http.json(path)));
    iceServers = Array.isArray(able?.ice_servers) ? able.ice_servers : [];
    const list = (given) => (Array.isArray(given) ? given : []);
    store.dispatch({ type: 'adapters', adapters: list(listed?.adapters), personas: list(cast?.personas), fallback: listed?.fallback, initial: listed?.default });
    if (store.get().error?.code === 'gone') store.dispatch({ type: 'dismiss' });
  } catch (problem) {
    store.dispatch({ type: 'error', code: problem.code ?? 'adapters', text: problem.message || errorWords('adapters') });
    if (problem.code === 'gone') setTimeout(() => void survey(), 4_000);
  }
}
void survey();
(window.requestIdleCallback ?? setTimeout)(() => void warmUp());

// ---- the page's own life

window.addEventListener('pagehide', () => session.leave());
window.addEventListener('pageshow', (event) => { if (event.persisted) session.comeBack(); });

let awake = null;
/** A telephone that darkens its screen in mid-sentence would end the call. */
async function stayAwake(state) {
  if (state.phase === 'live' && !awake && !document.hidden) {
    awake = await navigator.wakeLock?.request('screen').catch(() => null) ?? null;
    awake?.addEventListener('release', () => { awake = null; });
  } else if (state.phase === 'idle' && awake) {
    void awake.release();
    awake = null;
  }
}
store.watch((state, before) => { if (state.phase !== before.phase) void stayAwake(state); });
document.addEventListener('visibilitychange', () => { if (!document.hidden) { void stayAwake(store.get()); figures(); } });

// ---- for tests and the bench: read only

const probe = createProbe({ context: () => audio.context, outlet: () => audio.outlet });

Object.defineProperty(window, 'synchrony', {
  value: Object.freeze({
    version: 1,
    state: () => structuredClone(store.get()),
    stats: () => session.stats(),
    pc: () => session.pc,
    get marks() { return { ...marks }; },
    rms: () => ({ out: audio.rms(), mic: microphone.rms() }),
    rtp: () => session.rtp(),
    hush: () => session.hush,
    route: () => audio.route,
    series: () => structuredClone(series),
    warm: () => probe.warm(),
    listen: (kind, options) => probe.listen(kind, options),
    record: (seconds) => probe.record(seconds),
  }),
});
