/** One row of measured figures; texts are shown as they are, numbers without decimals beyond 10. */
export type Row = Readonly<Record<string, string | number>>;

const show = (value: string | number): string =>
  typeof value === 'string' ? value.replaceAll('|', '\\|') : value.toFixed(value < 10 ? 1 : 0);

/** Prints rows of equal columns as a table in markdown, and as JSON in one line for programs. */
export function printFigures(title: string, rows: readonly Row[]): void {
  if (rows.length === 0) return;
  const columns = Object.keys(rows[0]!);
  const lines = [columns, columns.map(() => '---'), ...rows.map((row) => columns.map((each) => show(row[each]!)))];
  const table = lines.map((cells) => `| ${cells.join(' | ')} |`).join('\n');
  process.stdout.write(`\n${title}\n\n${table}\n\n${JSON.stringify({ title, rows })}\n`);
}
