/** One row of measured figures. Numbers from 10 on are shown without decimals. */
export type Row = Readonly<Record<string, string | number>>;

const show = (value: string | number): string =>
  typeof value === 'string' ? value.replaceAll('|', '\\|') : value.toFixed(value < 10 ? 1 : 0);

/** Prints rows with equal columns as a markdown table for readers, and as one line of JSON for programs. */
export function printFigures(title: string, rows: readonly Row[]): void {
  if (rows.length === 0) return;
  const columns = Object.keys(rows[0]!);
  const lines = [columns, columns.map(() => '---'), ...rows.map((row) => columns.map((each) => show(row[each]!)))];
  const table = lines.map((cells) => `| ${cells.join(' | ')} |`).join('\n');
  process.stdout.write(`\n${title}\n\n${table}\n\n${JSON.stringify({ title, rows })}\n`);
}
