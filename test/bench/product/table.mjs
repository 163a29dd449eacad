/** Prints rows as a table for people, or as JSON. */
export function print(rows, json) {
  const rounded = rows.map((row) => ({ ...row, value: Math.round(row.value * 100) / 100 }));
  if (json) {
    console.log(JSON.stringify(rounded));
    return;
  }
  const width = Math.max(...rounded.map(({ what }) => what.length));
  for (const { what, value, unit, bar = '' } of rounded)
    console.log(`${what.padEnd(width)}  ${String(value).padStart(8)} ${unit.padEnd(3)} ${bar}`);
}
