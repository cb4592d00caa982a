// Engine, persona, voice and delivery: controls built from what the server lists, following what it confirms.
// Knows no engine by name; choices go out as one intent and into memory.

import { keptWords, missingIn, timbreIn, voiceOf } from './persona.js';
import { accentWords } from './words.js';

const SETTLE_MS = 160;
const MODES = new Set(['low_latency', 'steady']);

const languageOf = (tag) => String(tag).toLowerCase().split(/[-_]/)[0];

function option(value, label, { disabled = false, title = '' } = {}) {
  const made = document.createElement('option');
  made.value = value;
  made.textContent = label;
  made.disabled = disabled;
  if (title) made.title = title;
  return made;
}

/** Fills a select only when its list changed, so that an open list is not torn away. */
function fill(select, list, value) {
  const key = JSON.stringify(list.map(({ value: one, label, disabled }) => [one, label, disabled]));
  if (select.dataset.key !== key) {
    select.replaceChildren(...list.map((one) => option(one.value, one.label, one)));
    select.dataset.key = key;
  }
  if (document.activeElement !== select || select.value === '') select.value = value;
  if (select.value !== value) select.value = value;
}

/** @param {string} name @returns {string} */
const plain = (name) => name.replace(/[_-]+/g, ' ');

/**
 * @param {{store: ReturnType<import('./store.js').createStore>, choice: Record<string, any>, keep: (changed: object) => void,
 *   configure: (change: object) => void}} given
 */
export function mountControls({ store, choice, keep, configure }) {
  const [adapter, persona, timbre, accent, pace, pitch, mode] = ['adapter', 'persona', 'timbre', 'accent', 'pace', 'pitch', 'mode'].map((id) => document.getElementById(id));
  const [personaHint, kept, keptList] = ['persona-hint', 'kept', 'kept-list'].map((id) => document.getElementById(id));
  const [paceOut, pitchOut, missing, missingList, configHint, engine] = ['pace-out', 'pitch-out', 'missing', 'missing-list', 'config-hint', 'engine'].map((id) => document.getElementById(id));

  /** What the person chose and the server may not know yet. */
  const mine = {
    adapter: typeof choice.adapter === 'string' ? choice.adapter : '',
    mode: MODES.has(choice.mode) ? choice.mode : '',
    voice: choice.voice && typeof choice.voice === 'object' ? choice.voice : {},
  };
  let shown = null;
  let timer = null;
  let pending = {};

  function effective(state) {
    const { config } = state;
    const voice = voiceOf(state.personas, mine.voice);
    // in a call the server's word counts, except for what is on its way; a persona on its way is all of it
    const told = pending.voice?.persona === undefined ? config?.voice ?? {} : {};
    const of = (name, otherwise) => (pending.voice?.[name] === undefined && told[name] !== undefined ? told[name] : otherwise);
    const engine = pending.adapter ?? (config?.adapter || mine.adapter || state.initial || state.adapters[0]?.name || '');
    return {
      adapter: engine,
      mode: pending.mode ?? (config?.mode || mine.mode || 'low_latency'),
      persona: of('persona', voice.persona),
      timbre: timbreIn(pending.voice?.timbre === undefined && told.timbre !== undefined ? told : voice, engine),
      accent: of('accent', voice.accent), pace: of('pace', voice.pace),
      pitch: of('prosody', voice.prosody).pitch ?? voice.prosody.pitch,
    };
  }

  function change(part) {
    if (part.voice?.persona !== undefined) {
      // another persona is another voice: what was chosen over the last one goes with it
      mine.voice = { ...part.voice };
      pending.voice = { ...part.voice };
    } else if (part.voice) {
      const prosody = part.voice.prosody ? { ...mine.voice.prosody, ...part.voice.prosody } : mine.voice.prosody;
      mine.voice = { ...mine.voice, ...part.voice, ...(prosody ? { prosody } : {}) };
      pending.voice = { ...pending.voice, ...part.voice, ...(part.voice.prosody ? { prosody: { ...pending.voice?.prosody, ...part.voice.prosody } } : {}) };
    }
    if (part.adapter) { mine.adapter = part.adapter; pending.adapter = part.adapter; }
    if (part.mode) { mine.mode = part.mode; pending.mode = part.mode; }
    keep({ adapter: mine.adapter, mode: mine.mode, voice: mine.voice });
    clearTimeout(timer);
    // sliders come in steps: the last one counts
    timer = setTimeout(flush, SETTLE_MS);
    draw(store.get());
  }

  function flush() {
    const wanted = pending;
    if (store.get().phase === 'live' && Object.keys(wanted).length) {
      Promise.resolve(configure(wanted)).then(() => {
        if (pending === wanted) pending = {};
        draw(store.get());
      });
    } else {
      pending = {};
      draw(store.get());
    }
  }

  adapter.addEventListener('change', () => {
    // another engine has other timbres: its own is the one that exists for sure
    const voices = find(store.get(), adapter.value)?.voices ?? [];
    const { timbre: own, ...others } = mine.voice;
    const fits = !own || voices.includes(own);
    // beneath the timbre that was chosen lies the persona's, which has a name in every engine
    const voice = mine.voice.persona ? others : { timbre: '' };
    change({ adapter: adapter.value, ...(fits ? {} : { voice }) });
  });
  persona.addEventListener('change', () => change({ voice: { persona: persona.value } }));
  timbre.addEventListener('change', () => change({ voice: { timbre: timbre.value } }));
  accent.addEventListener('change', () => change({ voice: { accent: accent.value } }));
  mode.addEventListener('change', () => change({ mode: mode.value }));
  pace.addEventListener('input', () => { paceOut.textContent = paceWords(Number(pace.value)); });
  pitch.addEventListener('input', () => { pitchOut.textContent = pitchWords(Number(pitch.value)); });
  pace.addEventListener('change', () => change({ voice: { pace: Number(pace.value) } }));
  pitch.addEventListener('change', () => change({ voice: { prosody: { pitch: Number(pitch.value) } } }));

  const find = (state, name) => state.adapters.find((one) => one.name === name);
  const paceWords = (value) => `${Number(value).toFixed(2).replace(/\.?0+$/, '')} ×`;
  const pitchWords = (value) => `${value > 0 ? '+' : ''}${value} st`;

  function draw(state) {
    const now = effective(state);
    const listed = state.adapters.map((one) => ({
      value: one.name, label: one.available === false ? `${plain(one.name)} – not available` : plain(one.name),
      disabled: one.available === false, title: one.reason ?? '',
    }));
    if (now.adapter && !listed.some((one) => one.value === now.adapter)) listed.push({ value: now.adapter, label: plain(now.adapter) });
    fill(adapter, listed, now.adapter);
    adapter.disabled = !listed.length;
    const chosen = find(state, now.adapter);
    const names = [...new Set(['', ...state.personas.map((one) => one.name), now.persona])];
    fill(persona, names.map((name) => ({ value: name, label: name === '' ? 'None' : plain(name), title: description(state, name) })), now.persona);
    personaHint.textContent = description(state, now.persona);
    report(state.phase === 'live' && state.config?.adapter === now.adapter ? state.config.honoured : chosen?.honours);
    const voices = [...new Set(['', ...(chosen?.voices ?? []), now.timbre])];
    fill(timbre, voices.map((name) => ({ value: name, label: name === '' ? 'Its own' : plain(name) })), now.timbre);
    // engines write tags as they like: the same tag is the same whatever its case
    const tags = chosen?.languages?.length ? [...chosen.languages] : [];
    const same = tags.find((tag) => tag.toLowerCase() === now.accent.toLowerCase());
    if (!same && now.accent) tags.push(now.accent);
    fill(accent, tags.map((tag) => ({ value: tag, label: accentWords(tag) })).sort((a, b) => rank(a.value) - rank(b.value) || a.label.localeCompare(b.label)), same ?? now.accent);
    if (document.activeElement !== pace || !timer) pace.value = String(now.pace);
    if (document.activeElement !== pitch || !timer) pitch.value = String(now.pitch);
    paceOut.textContent = paceWords(now.pace);
    pitchOut.textContent = pitchWords(now.pitch);
    mode.value = now.mode;
    if (state.adapters !== shown) lacking(state.adapters);
    configHint.textContent = state.changing ? 'Changing at the next chunk…' : confirmed(state);
    engine.textContent = state.phase === 'live' && state.config ? [plain(state.config.adapter), accentWords(now.accent), now.mode === 'steady' ? 'steady' : 'low latency'].filter(Boolean).join(' · ') : '';
  }

  const description = (state, name) => state.personas.find((one) => one.name === name)?.description ?? '';

  /** What becomes of the voice in this engine: a line, and behind it every field. */
  function report(honoured) {
    const { line, fields } = keptWords(honoured);
    kept.hidden = !line;
    if (kept.dataset.key === JSON.stringify(fields)) return;
    kept.dataset.key = JSON.stringify(fields);
    kept.firstElementChild.textContent = line;
    keptList.replaceChildren(...fields.map(({ name, word, degree }) => {
      const item = document.createElement('li');
      item.dataset.degree = degree;
      const what = document.createElement('span');
      what.textContent = name;
      const how = document.createElement('strong');
      how.textContent = word;
      item.append(what, ' ', how);
      return item;
    }));
  }

  const home = languageOf(navigator.language || 'en');
  const rank = (tag) => (languageOf(tag) === home ? 0 : languageOf(tag) === 'en' ? 1 : 2);

  /** The engines that cannot speak here, and what would bring them. */
  function lacking(adapters) {
    shown = adapters;
    const found = adapters.filter((one) => one.available === false);
    missing.hidden = !found.length;
    missing.firstElementChild.textContent = found.length === 1 ? 'One more engine can be added' : `${found.length} more engines can be added`;
    missingList.replaceChildren(...found.map((one) => {
      const item = document.createElement('li');
      const name = document.createElement('strong');
      name.textContent = plain(one.name);
      const why = document.createElement('span');
      why.textContent = [one.reason, one.remedy].filter(Boolean).join(' – ') || 'not available here';
      item.append(name, why);
      return item;
    }));
  }

  function confirmed(state) {
    if (state.phase !== 'live' || state.config?.chunk === null || state.config?.chunk === undefined || !state.config.version) return '';
    return `In effect since chunk ${state.config.chunk}.`;
  }

  store.watch(draw);

  return {
    /** What the person chose earlier and this conversation does not have yet, as inputs of `configure`, or null. */
    wanted() {
      const state = store.get();
      const { config } = state;
      const change = {};
      if (mine.adapter && mine.adapter !== config?.adapter && find(state, mine.adapter)?.available !== false && (find(state, mine.adapter) || !state.adapters.length)) change.adapter = mine.adapter;
      if (mine.mode && mine.mode !== config?.mode) change.mode = mine.mode;
      const voice = missingIn(state.personas, mine.voice, config?.voice ?? {});
      if (voice) change.voice = voice;
      return Object.keys(change).length ? change : null;
    },
  };
}
