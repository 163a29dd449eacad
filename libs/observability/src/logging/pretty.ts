/** One line for a person at a terminal, from one line of JSON. A stack follows indented. */
export function pretty(line: string): string {
  const { level, time, context, message, pid: _, err, stack, ...rest } = JSON.parse(line) as Record<string, unknown>;
  const trace = stack ?? (err as { stack?: unknown } | undefined)?.stack;
  const fields = Object.entries({ ...rest, ...(err !== undefined && trace === undefined ? { err } : {}) })
    .map(([key, value]) => ` ${key}=${show(value)}`)
    .join('');
  const head = `${String(time).slice(11, 23)} ${String(level).toUpperCase().padEnd(5)} `;
  const from = context === undefined ? '' : `[${show(context)}] `;
  const below = typeof trace === 'string' ? trace.split('\n').map((row) => `    ${printable(row.trim())}\n`) : [];
  return `${head}${from}${show(message)}${fields}\n${below.join('')}`;
}

function show(value: unknown = ''): string {
  return printable(typeof value === 'string' ? value : JSON.stringify(value));
}

/** Control characters made visible, so that logged data can neither forge lines nor drive the terminal. */
function printable(text: string): string {
  // oxlint-disable-next-line no-control-regex -- control characters are what it looks for
  return text.replaceAll(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g, (character) =>
    JSON.stringify(character).length > 3
      ? JSON.stringify(character).slice(1, -1)
      : `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
