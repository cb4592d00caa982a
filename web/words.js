// Everything the page says to a person that depends on a state.
// Knows no DOM and no server: states in, sentences out.

/** @param {string} code @param {string} [more] @returns {string} */
export function errorWords(code, more = '') {
  switch (code) {
    case 'mic_denied':
      return 'The browser was not allowed to use the microphone. The call goes on with text; to speak, allow the microphone in the address bar and switch it on here.';
    case 'mic_none':
      return 'No microphone was found. The call goes on with text; plug one in and switch it on here.';
    case 'mic_busy':
      return 'The microphone could not be opened; another program may be using it. The call goes on with text.';
    case 'mic_insecure':
      return 'This page was not opened by https or from this machine, so the browser gives no microphone. Text works all the same.';
    case 'no_webrtc':
      return 'This browser cannot make calls (WebRTC is missing or switched off).';
    case 'connect_timeout':
      return 'The call could not be connected: no network path to the server was found.';
    case 'lost':
      return 'The connection was lost and could not be restored. Press the call button to try again.';
    case 'barge_unanswered':
      return 'The server did not answer the interruption.';
    case 'unanswered':
      return 'The server did not answer.';
    case 'adapters':
      return 'The list of voices could not be loaded.';
    default:
      return more || 'Something went wrong.';
  }
}

/** @param {unknown} problem an exception of getUserMedia @returns {string} a code for errorWords */
export function microphoneTrouble(problem) {
  switch (problem?.name) {
    case 'NotAllowedError':
    case 'SecurityError':
      return 'mic_denied';
    case 'NotFoundError':
    case 'OverconstrainedError':
      return 'mic_none';
    default:
      return 'mic_busy';
  }
}

/** @param {{code: string, field: string, remedy: string}} refusal */
export function refusalWords(refusal) {
  const field = refusal.field ? `${refusal.field.replace(/^inputs\./, '')}: ` : '';
  return `Not done – ${field}${refusal.remedy}.`;
}

/** @param {string} reason of a `bye` */
export function byeWords(reason) {
  const known = {
    hangup: 'The call has ended.',
    idle: 'The call ended because nothing happened for a long time.',
    timeout: 'The call ended because the server heard nothing from this page.',
    lost: 'The server lost this page.',
    shutdown: 'The server is shutting down.',
    flood: 'The server ended the call because this page sent too much.',
    fault: 'The server made an error and ended the call.',
    'too long': 'The call reached its longest duration.',
    'not found again': 'The conversation was held for a while and then ended.',
  };
  return known[reason] ?? `The server ended the call${reason ? ` (${reason})` : ''}.`;
}

/**
 * What is going on, as one of a few looks and two lines of text.
 * @param {import('./store.js').State} state
 * @returns {{look: string, title: string, line: string}}
 */
export function status(state) {
  switch (state.phase) {
    case 'calling':
      return { look: 'calling', title: 'Calling', line: 'Finding a way to the server.' };
    case 'reconnecting':
      return { look: 'calling', title: 'Reconnecting', line: `The connection broke; try ${state.tries} of ${state.triesMost}. The conversation is kept.` };
    case 'live':
      return live(state);
    default:
      return state.rejoin
        ? { look: 'idle', title: 'Rejoin', line: state.farewell || 'The conversation is still held for you.' }
        : { look: 'idle', title: 'Ready', line: state.farewell || 'Press the button to call. A microphone is welcome, not needed.' };
  }
}

function live(state) {
  if (state.speech === 'paused') return { look: 'paused', title: 'Paused', line: 'Resume goes on with the same sound.' };
  if (state.speech === 'yielded') return { look: 'yielded', title: 'You have the floor', line: 'Say or type something new, or resume what was cut.' };
  if (state.speech === 'speaking' || state.speech === 'draining') {
    return { look: 'speaking', title: 'Speaking', line: state.sound === 'blocked' ? 'The browser holds the sound back: tap to hear.' : 'Escape or Interrupt takes the floor.' };
  }
  if (state.speech === 'priming') return { look: 'priming', title: 'About to speak', line: 'The voice is preparing its first words.' };
  if (state.hearing) return { look: 'hearing', title: 'Hearing you', line: 'Your voice arrives.' };
  if (state.mic.state === 'on' && !state.mic.muted) return { look: 'listening', title: 'Listening', line: 'Speak, or type below.' };
  if (state.mic.state === 'on') return { look: 'listening', title: 'Connected', line: 'Your microphone is muted. Type below to hear it spoken.' };
  return { look: 'listening', title: 'Connected', line: 'Type below to hear it spoken.' };
}

/** @param {string} name @param {string} [locale] */
export function accentWords(name, locale = 'en') {
  try {
    return new Intl.DisplayNames([locale], { type: 'language', languageDisplay: 'dialect' }).of(name) ?? name;
  } catch {
    return name;
  }
}
