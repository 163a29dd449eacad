import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { OptionsError, YuxiError } from '@yuxi/core';
import type { RedisClient } from './redis.tokens.js';

export type ScriptArgument = string | number | Buffer;

/** A Lua script that runs by its hash. When the server does not have it (restart, SCRIPT FLUSH), its text is sent. */
export interface Script {
  readonly name: string;
  readonly sha: string;
  readonly source: string;
  /**
   * On a Cluster all keys must share a slot. Integers are returned as numbers, strings decoded as UTF-8.
   * @throws {RedisUnavailableError} when Redis cannot serve it. After a timeout it may still have run.
   */
  run(client: RedisClient, keys: readonly string[], args?: readonly ScriptArgument[]): Promise<unknown>;
}

/**
 * Reads a `.lua` file once. It must begin with comment lines that state KEYS, ARGV and Returns.
 * @param url of a script made of several files: shared parts first, the file with the header last
 * @param numberOfKeys checked at each run; omit it for a script that takes any number
 * @throws {YuxiError} `SCRIPT_UNREADABLE`, `SCRIPT_HEADER`
 */
export function defineScript(name: string, url: URL | readonly URL[], numberOfKeys?: number): Script {
  const files = [url].flat().map((each) => read(name, each));
  requireHeader(name, files.at(-1) ?? '');
  const source = files.join('\n');
  const sha = createHash('sha1').update(source).digest('hex');

  return {
    name,
    sha,
    source,
    run: async (client, keys, args = []) => {
      if (numberOfKeys !== undefined && keys.length !== numberOfKeys)
        throw new OptionsError('keys', `${numberOfKeys} key(s)`, keys.length, `script ${name}`);
      const all = [...keys, ...args];
      return client.evalsha(sha, keys.length, ...all).catch((error: Error) => {
        if (error.message.startsWith('NOSCRIPT')) return client.eval(source, keys.length, ...all);
        throw error;
      });
    },
  };
}

function read(name: string, url: URL): string {
  try {
    return readFileSync(url, 'utf8');
  } catch (cause) {
    throw new YuxiError(`Script ${name} cannot be read; is the .lua file beside the compiled code? (npm run build)`, {
      code: 'SCRIPT_UNREADABLE',
      cause,
    });
  }
}

function requireHeader(name: string, source: string): void {
  const header = /^(?:[ \t]*--.*\r?\n|[ \t]*\r?\n)*/.exec(source)?.[0] ?? '';
  const missing = ['KEYS', 'ARGV', 'Returns'].filter((word) => !new RegExp(`\\b${word}\\b`, 'i').test(header));
  if (missing.length > 0)
    throw new YuxiError(`Script ${name}: its first comment lines must state ${missing.join(', ')} ("none" if so)`, {
      code: 'SCRIPT_HEADER',
    });
}
