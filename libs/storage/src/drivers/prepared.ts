import type { QueryConfig } from 'pg';

/** A process has some dozens of texts; this only bounds what a caller that builds texts by hand could cost. */
const MAX_NAMES = 500;
const names = new Map<string, string>();

/**
 * The statement under a name of its text, so that each connection has it parsed and planned once: our statements are
 * short, and planning them took a quarter of the server's time. Texts without parameters are rare ones, and stay unnamed.
 */
export function prepared(text: string, params: readonly unknown[]): QueryConfig {
  const values = [...params];
  if (values.length === 0) return { text };
  const name = names.get(text) ?? newName(text);
  return name === undefined ? { text, values } : { name, text, values };
}

function newName(text: string): string | undefined {
  if (names.size >= MAX_NAMES) return undefined;
  const name = `yuxi_${names.size}`;
  names.set(text, name);
  return name;
}
