/** A notice that a section changed. Carries no values; whoever receives it reads the head and believes only that. */
export interface ConfigHint {
  /** Section that changed. Receivers accept names they do not know. */
  type: string;
  /** ISO 8601 UTC. */
  timestamp: string;
  /** Missing in notices of replicas that know none. */
  revision?: number;
  hash?: string;
}

/** Channel that replicas of every language share. */
export const CONFIG_CHANNEL = 'yuxi:config_updates';

const EVENT = 'config_changed';
const MAX_LENGTH = 4096;

export function writeHint({ type, timestamp, revision, hash }: ConfigHint): string {
  return JSON.stringify({ event: EVENT, type, timestamp, revision, hash });
}

/** @returns undefined for anything that is not a notice. */
export function readHint(text: string): ConfigHint | undefined {
  if (text.length > MAX_LENGTH) return undefined;
  let message: unknown;
  try {
    message = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof message !== 'object' || message === null) return undefined;
  const { event, type, timestamp, revision, hash } = message as Record<string, unknown>;
  if (event !== EVENT || typeof type !== 'string' || type === '') return undefined;
  return {
    type,
    timestamp: typeof timestamp === 'string' ? timestamp : '',
    ...(Number.isSafeInteger(revision) && { revision: revision as number }),
    ...(typeof hash === 'string' && { hash }),
  };
}
