import type { ConfigHint } from './config-hint.js';

/** Channel of the notices that the database sends with a commit. */
export const SQL_CHANNEL = 'yuxi_config_updates';

export interface SqlHint extends Required<Pick<ConfigHint, 'revision' | 'hash'>> {
  scope: string;
}

export function writeSqlHint({ scope, revision, hash }: SqlHint): string {
  return JSON.stringify({ scope, revision, hash });
}

/** @returns undefined for anything that is not a notice. */
export function readSqlHint(text: string): SqlHint | undefined {
  try {
    const { scope, revision, hash } = JSON.parse(text) as Record<string, unknown>;
    if (typeof scope !== 'string' || !Number.isSafeInteger(revision) || typeof hash !== 'string') return undefined;
    return { scope, revision: revision as number, hash };
  } catch {
    return undefined;
  }
}
