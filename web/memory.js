// What the page remembers: choices for good, tokens for this tab.
// Knows no meaning of what it keeps; a browser that refuses storage only forgets.

const CHOICES = 'synchrony.choices';
const ACCESS = 'synchrony.access';
const CONVERSATION = 'synchrony.conversation';

/** The server holds a lost conversation this long (ms). */
export const HELD_MS = 30_000;

function read(storage, key) {
  try {
    return JSON.parse(storage().getItem(key) ?? 'null');
  } catch {
    return null;
  }
}

function write(storage, key, value) {
  try {
    if (value === null) storage().removeItem(key);
    else storage().setItem(key, JSON.stringify(value));
  } catch {
    // private windows and full quotas: the page works on, it only forgets
  }
}

const tab = () => window.sessionStorage;
const browser = () => window.localStorage;

/** @returns {Record<string, unknown>} the choices of earlier visits */
export function choices() {
  const kept = read(browser, CHOICES);
  return kept && typeof kept === 'object' && !Array.isArray(kept) ? kept : {};
}

/** @param {Record<string, unknown>} changed choices to add to those kept */
export function keepChoices(changed) {
  write(browser, CHOICES, { ...choices(), ...changed });
}

/**
 * The access token: from the fragment once, then from this tab. It leaves the address bar at once,
 * so that a copied link does not carry it.
 * @returns {string} empty where the server asks for none
 */
export function accessToken() {
  const found = new URLSearchParams(location.hash.slice(1)).get('t');
  if (found) {
    write(tab, ACCESS, found);
    history.replaceState(null, '', location.pathname + location.search);
    return found;
  }
  const kept = read(tab, ACCESS);
  return typeof kept === 'string' ? kept : '';
}

/** @returns {{token: string, at: number} | null} the conversation to re-attach to; `at` in epoch ms */
export function conversation() {
  const kept = read(tab, CONVERSATION);
  return kept && typeof kept.token === 'string' && Number.isFinite(kept.at) ? kept : null;
}

/** @param {string | null} token null forgets it */
export function keepConversation(token) {
  write(tab, CONVERSATION, token ? { token, at: Date.now() } : null);
}
