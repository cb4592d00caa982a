// The page put together: memory, server, sound, conversation, views.
// Decides nothing itself: every rule lives in the module that is named for it.

import { mountAudition } from './audition.js';
import { createAudio } from './audio.js';
import { warmUp } from './call.js';
import { mountComposer } from './composer.js';
import { mountControls } from './controls.js';
import { mountEvents } from './events.js';
import { mountFindings } from './findings.js';
import { createHello } from './hello.js';
import { createHttp } from './http.js';
import { drawLegend } from './legend.js';
import * as memory from './memory.js';
import { createMicrophone } from './microphone.js';
import { mountPanel } from './panel.js';
import { createProbe } from './probe.js';
import { provenance } from './provenance.js';
import { createSession } from './session.js';
import { mountSessions } from './sessions.js';
import { createShowing } from './showing.js';
import { mountSound } from './sound.js';
import { mountSpoken } from './spoken.js';
import { mountStage } from './stage.js';
import { createStore } from './store.js';
import { mountTools } from './tools.js';
import { errorWords } from './words.js';

const $ = (id) => document.getElementById(id);

const choice = memory.choices();
const http = createHttp(memory.accessToken());
const store = createStore();
let iceServers = [];
/** The server keeps logs, shows them and makes their sound again. */
let keepsLogs = false;

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
  // the log tells everything, a second late and only when it is written; the feed of the call tells the depth at once
  onTelemetry: (data) => {
    newest = data;
    showing.telemetry(data);
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

// ---- the panel

/** What the call's own feed said last. */
let newest = null;
const complain = (text) => store.dispatch({ type: 'notice', level: 'warning', text });

const panel = mountPanel({
  canvas: $('panel'), strip: $('strip'), readout: $('readout'), blank: $('chart-empty'),
  listen: (frame) => audition.play(showing.shown.track, frame),
  moved: () => tools.moved(),
});
const audition = mountAudition({
  audio: $('audition-sound'), button: $('audition'), line: $('captions'),
  path: (from, to) => (showing.shown.listening ? http.withToken(`/sessions/${encodeURIComponent(showing.shown.id)}/audio?from=${from}&to=${to}`) : null),
  volume: () => store.get().volume, playing: (frame) => panel.play(frame), trouble: complain,
});
const show = (frame) => {
  panel.put(frame);
  $('panel').scrollIntoView({ block: 'nearest' });
};
const events = mountEvents({ list: $('events'), details: document.querySelector('.events-box'), go: show });
const findings = mountFindings({ list: $('findings'), go: show });
const showing = createShowing({
  http, has: () => keepsLogs, calling: () => store.get().phase === 'live', trouble: complain,
  show(shown) {
    audition.stop();
    panel.show(shown.track, shown.live);
    events.show(shown.track);
    findings.show(shown.track, shown.live);
    tools.moved();
  },
  grew() {
    panel.grew();
    events.draw();
    findings.refresh();
    tools.grew();
  },
  loading: (text) => tools.loading(text),
});
const sessions = mountSessions({
  box: $('sessions-box'), list: $('sessions'), input: $('log-file'), back: $('back'),
  links: { whole: $('wav-whole'), part: $('wav-part'), json: $('json') },
  http, has: () => keepsLogs, trouble: complain,
  open: (one) => void showing.open(one), file: (file) => void showing.file(file, sessions.known), home: showing.home,
});
const tools = mountTools({ panel, audition, showing, sessions });
drawLegend($('legend'));
showing.home();

function figures() {
  if (document.hidden) return;
  const last = newest;
  const { jitterMs, damage } = store.get().figures;
  const live = store.get().phase === 'live';
  $('fig-depth').textContent = last ? `${Math.round(last.depth_ms)} ms` : '–';
  const rung = last?.rungs?.[last.rung];
  $('fig-chunk').textContent = rung ? `${Math.round(rung)} ms` : '–';
  $('fig-frame').textContent = last ? String(last.frame) : '–';
  $('fig-jitter').textContent = live && jitterMs ? `${Math.round(jitterMs)} ms` : '–';
  $('fig-concealed').textContent = live ? `${Math.round(damage / 48)} ms` : '–';
}
store.watch((state, before) => {
  if (state.session === before.session) return;
  newest = null;
});
store.watch((state, before) => {
  if (state.phase === 'live' && before.phase !== 'live') showing.begin(state.session);
  if (state.phase === 'reconnecting' && before.phase !== 'reconnecting') showing.rest();
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
    keepsLogs = Array.isArray(able?.features) && able.features.includes('sessions');
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
    /** The frame that is heard now, or null. */
    heard: () => session.heard(),
    hush: () => session.hush,
    route: () => audio.route,
    /** The panel in numbers: what it shows, what a draw of it cost. */
    panel: () => ({
      ...panel.cost, view: { ...panel.view }, extent: showing.shown.track.extent(), shown: showing.shown.name, live: showing.shown.live,
      lanes: Object.fromEntries(Object.entries(showing.shown.track.lanes).map(([name, rows]) => [name, rows.length])),
      about: structuredClone(showing.shown.track.about), engines: [...showing.shown.track.engines.names], audition: audition.word,
    }),
    /** @param {number} frame */
    provenance: (frame) => provenance(showing.shown.track, frame),
    warm: () => probe.warm(),
    listen: (kind, options) => probe.listen(kind, options),
    record: (seconds) => probe.record(seconds),
  }),
});
