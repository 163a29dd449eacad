/** Of the levels that a person should not overlook: yellow and red. */
const COLORS: Readonly<Record<string, number>> = { warn: 33, error: 31, fatal: 31 };
const ESCAPE = '\u001b[';
const NO_COLOR = 39;

/**
 * One line for a person at a terminal, from one line of JSON. The stack of an error follows indented; a
 * warning stays one line.
 * @param colors whether the level stands out by its colour
 */
export function pretty(line: string, colors = false): string {
  const { level, time, context, message, pid: _, err, stack, ...rest } = JSON.parse(line) as Record<string, unknown>;
  const { stack: stackOfError, message: why } = (err ?? {}) as { stack?: unknown; message?: unknown };
  const trace = level === 'warn' ? undefined : (stack ?? stackOfError);
  const cause = err === undefined || trace !== undefined || why === message ? {} : { err: why ?? err };
  const fields = Object.entries({ ...rest, ...cause })
    .map(([key, value]) => ` ${key}=${show(value)}`)
    .join('');
  const name = String(level).toUpperCase().padEnd(5);
  const color = colors ? COLORS[String(level)] : undefined;
  const head = `${String(time).slice(11, 23)} ${color ? `${ESCAPE}${color}m${name}${ESCAPE}${NO_COLOR}m` : name} `;
  const from = context === undefined ? '' : `[${show(context)}] `;
  const below = typeof trace === 'string' ? trace.split('\n').map((row) => `    ${printable(row.trim())}\n`) : [];
  return `${head}${from}${show(message)}${fields}\n${below.join('')}`;
}

function show(value: unknown = ''): string {
  return printable(typeof value === 'string' ? value : JSON.stringify(value));
}

/** Control characters made visible, so that logged data can neither forge lines nor drive the terminal. */
export function printable(text: string): string {
  // oxlint-disable-next-line no-control-regex -- control characters are what it looks for
  return text.replaceAll(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g, (character) =>
    JSON.stringify(character).length > 3
      ? JSON.stringify(character).slice(1, -1)
      : `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
