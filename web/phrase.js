// A record of the log in a few words.
// Knows no lane.

const MOST = 120;
/** What is said of a record, in this order; a name is put before what would be a riddle without it. */
const BARE = ['cause', 'stage', 'state', 'adapter', 'reason', 'why', 'text', 'result'];
const NAMED = { adapter_from: 'from', adapter_to: 'to', attempt: 'attempt', records: 'records lost:', late_ms: 'ms late:', samples: 'samples:', bytes: 'bytes cut off:', level_db: 'dB:', rung: 'rung' };
const ORDINARY = new Set(['ok', 'done', '']);

/** @param {Record<string, any>} record @returns {string} */
export function phrase(record) {
  const parts = [];
  for (const name of BARE) {
    const value = record[name];
    if (typeof value !== 'string' || value === record.kind || ORDINARY.has(value) || parts.includes(value)) continue;
    parts.push(value);
  }
  for (const [name, label] of Object.entries(NAMED)) {
    const value = record[name];
    if (typeof value === 'string' ? value : Number.isFinite(value)) parts.push(`${label} ${value}`);
  }
  const text = parts.join(' · ');
  return text.length > MOST ? `${text.slice(0, MOST - 1)}…` : text;
}
