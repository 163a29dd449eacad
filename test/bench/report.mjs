import { readFileSync } from 'node:fs';

/** Rows that miss their bar and are known to: `{ area, what, reason }`. */
const OPEN = JSON.parse(readFileSync(new URL('./open-rows.json', import.meta.url), 'utf8'));
const BAR = /^(?<sign><=|>=|=|>|<) (?<number>[\d.]+)$/;
const HOLDS = {
  '<=': (value, bar) => value <= bar,
  '>=': (value, bar) => value >= bar,
  '<': (value, bar) => value < bar,
  '>': (value, bar) => value > bar,
  '=': (value, bar) => value === bar,
};

/** Whether a row holds its bar, such as `<= 2`; a row without one, or with one in words, always does. */
function holds({ value, bar }) {
  const { sign, number } = BAR.exec(bar ?? '')?.groups ?? {};
  return sign === undefined || HOLDS[sign](value, Number(number));
}

/**
 * Prints the rows of a bench as a table for people, or with `--json` as JSON. With `--check` the exit code becomes 1 when a row misses
 * its bar that open-rows.json does not list; the missed rows go to standard error.
 */
export function report(area, rows, options) {
  const rounded = rows.map((row) => ({ ...row, value: Math.round(row.value * 100) / 100 }));
  if (options.includes('--json')) console.log(JSON.stringify(rounded));
  else printTable(rounded);
  if (options.includes('--check')) check(area, rounded);
}

function printTable(rows) {
  const width = Math.max(...rows.map(({ what }) => what.length));
  for (const { what, value, unit, bar = '' } of rows)
    console.log(`${what.padEnd(width)}  ${String(value).padStart(8)} ${unit.padEnd(3)} ${bar}`);
}

function check(area, rows) {
  for (const row of rows.filter((each) => !holds(each))) {
    const known = OPEN.find((open) => open.area === area && open.what === row.what);
    console.error(
      `${row.what}: ${row.value} ${row.unit}, bar ${row.bar}: ${known ? `open: ${known.reason}` : 'missed'}`,
    );
    if (!known) process.exitCode = 1;
  }
}
