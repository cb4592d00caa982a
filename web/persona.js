// A persona as the page uses it: what lies beneath the person's own choices, and how well an engine keeps a voice, in words.
// Knows no DOM and no engine by name.

const NEUTRAL = Object.freeze({ timbre: '', accent: 'en-GB', pace: 1, prosody: Object.freeze({ pitch: 0 }), timbres: Object.freeze({}), persona: '' });

const FIELDS = [
  ['timbre', 'Timbre'], ['accent', 'Accent'], ['pace', 'Pace'], ['prosody.pitch', 'Pitch'], ['prosody.range', 'Melody'],
  ['prosody.volume', 'Loudness'], ['emotion_priors', 'Emotion'],
];
const DEGREES = [['exact', 'exactly'], ['approximate', 'nearly'], ['none', 'not']];

/** @param {any[]} personas @param {unknown} name @returns {any} the persona's voice, null where there is none of that name */
const found = (personas, name) => personas.find((one) => one.name === name)?.voice ?? null;

/**
 * What the choices amount to before the server has said anything: the persona's voice, and over it what was chosen since.
 * @param {any[]} personas as listed @param {Record<string, any>} mine what the person chose
 * @returns {Record<string, any>} a voice with every field the page shows
 */
export function voiceOf(personas, mine) {
  const base = { ...NEUTRAL, ...found(personas, mine.persona) };
  return {
    ...base, ...mine, persona: base.persona, prosody: { ...NEUTRAL.prosody, ...base.prosody, ...mine.prosody },
    timbres: mine.timbre === undefined ? base.timbres : {},
  };
}

/** What a voice's timbre is called in an engine. */
export const timbreIn = (voice, engine) => voice?.timbres?.[engine] ?? voice?.timbre ?? '';

/**
 * What a conversation whose voice is `kept` has to be told, so that it has what the person chose.
 * @param {any[]} personas @param {Record<string, any>} mine @param {Record<string, any>} kept
 * @returns {Record<string, any> | null} a voice patch, null where nothing is missing
 */
export function missingIn(personas, mine, kept) {
  const { persona, ...own } = mine;
  const known = persona === '' || found(personas, persona) !== null;
  if (persona !== undefined && known && persona !== (kept.persona ?? '')) return { persona, ...own };
  const patch = {};
  for (const name of ['accent', 'pace']) {
    if (own[name] !== undefined && own[name] !== kept[name]) patch[name] = own[name];
  }
  const elsewhere = Object.keys(kept.timbres ?? {}).length > 0;
  if (own.timbre !== undefined && (own.timbre !== kept.timbre || elsewhere)) patch.timbre = own.timbre;
  const pitch = own.prosody?.pitch;
  if (pitch !== undefined && pitch !== kept.prosody?.pitch) patch.prosody = { pitch };
  return Object.keys(patch).length ? patch : null;
}

/**
 * How well an engine keeps a voice: one line, and every field with its word.
 * @param {Record<string, string> | null | undefined} honoured
 * @returns {{line: string, fields: {name: string, word: string, degree: string}[]}} an empty line where nobody knows
 */
export function keptWords(honoured) {
  const fields = FIELDS.filter(([key]) => honoured?.[key]).map(([key, name]) => {
    const degree = honoured[key];
    return { name, degree, word: DEGREES.find(([one]) => one === degree)?.[1] ?? degree };
  });
  const counts = DEGREES.map(([degree, word]) => [fields.filter((one) => one.degree === degree).length, word]).filter(([count]) => count);
  return { line: fields.length ? `Kept by this engine: ${counts.map(([count, word]) => `${count} ${word}`).join(', ')}` : '', fields };
}
