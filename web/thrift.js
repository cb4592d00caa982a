// Lines of a log file in full: a line leaves out what says the same as in the record of its kind before.
// Knows no record; what a server sends is whole already and passes as it is (it has no `h`, the chain of a file).

/** In a line: the names that the record before had and this one has not; true: nothing is taken over. */
const GONE = '-';

/** @returns {(row: any) => any} for the lines of one file, in their order */
export function restorer() {
  const before = new Map();
  let lean = false;
  return (row) => {
    if (typeof row?.h !== 'string') return row;
    if (row.kind === 'header') lean = row.lean === true;
    if (!lean) return row;
    const gone = row[GONE];
    const record = { ...(gone === true ? {} : before.get(row.kind)), ...row };
    for (const name of Array.isArray(gone) ? [GONE, ...gone] : [GONE]) delete record[name];
    before.set(row.kind, record);
    return { ...record };
  };
}
