// The call's view: button, state, levels, messages.
// Knows no call: intents go out as functions, the store comes in.

import { status } from './words.js';

const $ = (id) => document.getElementById(id);
const LEVEL_MS = 100;

/**
 * Loudness as people see it: -60 dBFS is nothing, -6 is all.
 * @param {number} rms 0 to 1 @returns {number} 0 to 1
 */
export function loudness(rms) {
  if (!(rms > 0)) return 0;
  return Math.max(0, Math.min(1, (20 * Math.log10(rms) + 54) / 46));
}

/** Off for people and machines alike, without losing the focus. @param {HTMLElement} button @param {boolean} on */
export function enable(button, on) {
  button.setAttribute('aria-disabled', String(!on));
}

/** @param {HTMLElement} button */
export const enabled = (button) => button.getAttribute('aria-disabled') !== 'true';

/**
 * @param {{store: ReturnType<import('./store.js').createStore>, intents: {call: () => void, hangUp: () => void, mute: (on: boolean) => void,
 *   hello: () => void, tap: () => void}, levels: () => {out: number, mic: number}}} given
 */
export function mountStage({ store, intents, levels }) {
  const [orb, call, hangup, mute, hello, tap] = ['orb', 'call', 'hangup', 'mute', 'hello', 'tap'].map($);
  const [level, proof, error, notices] = ['level', 'proof', 'error', 'notices'].map($);

  call.addEventListener('click', intents.call);
  hangup.addEventListener('click', intents.hangUp);
  mute.addEventListener('click', () => intents.mute(!store.get().mic.muted));
  hello.addEventListener('click', intents.hello);
  tap.addEventListener('click', intents.tap);
  $('dismiss').addEventListener('click', () => store.dispatch({ type: 'dismiss' }));

  store.watch((state, before) => {
    const { look, title, line } = status(state);
    orb.dataset.look = look;
    document.body.dataset.phase = state.phase;
    document.body.dataset.speech = state.speech;
    if ($('status-title').textContent !== title) $('status-title').textContent = title;
    if ($('status-line').textContent !== line) $('status-line').textContent = line;
    const idle = state.phase === 'idle';
    const held = document.activeElement;
    enable(call, idle);
    call.setAttribute('aria-label', state.rejoin ? 'Rejoin the conversation' : 'Call');
    hangup.hidden = idle;
    mute.hidden = state.mic.state !== 'on';
    mute.setAttribute('aria-pressed', String(state.mic.muted));
    mute.textContent = state.mic.muted ? 'Microphone muted' : 'Mute microphone';
    enable(hello, state.phase === 'idle' || state.phase === 'live');
    tap.hidden = state.sound !== 'blocked';
    proof.hidden = !state.proof;
    if (proof.textContent !== state.proof) proof.textContent = state.proof;
    // the button under the finger has gone: the keyboard goes on at its counterpart
    if (before.phase !== state.phase) {
      if (held === hangup && hangup.hidden) call.focus();
      if (held === call && state.phase === 'live') hangup.focus();
    }
    if (state.error !== before.error || state === before) showError(state.error);
    if (state.notices !== before.notices || state === before) showNotices(state.notices);
  });

  function showError(found) {
    error.hidden = !found;
    $('error-text').textContent = found ? found.text : '';
  }

  function showNotices(list) {
    notices.replaceChildren(...list.map((one) => {
      const item = document.createElement('li');
      item.dataset.level = one.level;
      item.dataset.testid = 'notice';
      const text = document.createElement('span');
      text.textContent = one.text;
      const away = document.createElement('button');
      away.type = 'button';
      away.className = 'plain';
      away.textContent = '×';
      away.setAttribute('aria-label', 'Dismiss this notice');
      away.addEventListener('click', () => store.dispatch({ type: 'unnotice', key: one.key }));
      item.append(text, away);
      return item;
    }));
  }

  const bar = level.firstElementChild;
  let out = 0;
  let heard = 0;
  let told = 0;

  function draw(now) {
    requestAnimationFrame(draw);
    if (store.get().phase !== 'live' && out < 0.01 && heard < 0.01) return;
    const { out: outRms, mic } = levels();
    // quick up, slow down, as meters do
    out = Math.max(loudness(outRms), out * 0.86);
    heard = Math.max(loudness(mic), heard * 0.86);
    orb.style.setProperty('--out', out.toFixed(3));
    orb.style.setProperty('--in', heard.toFixed(3));
    bar.style.transform = `scaleX(${heard.toFixed(3)})`;
    if (now - told > LEVEL_MS) {
      told = now;
      level.setAttribute('aria-valuenow', String(Math.round(heard * 100)));
    }
  }
  requestAnimationFrame(draw);
}
