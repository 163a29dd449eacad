import { Logger } from '@nestjs/common';
import { lockKey } from './lock.names.js';
import type { ResolvedLockOptions } from './lock.options.js';

/** Callers that work out their durations at run time must not fill the log. */
const MAX_WARNINGS = 100;

/** Options that are allowed and still a mistake: said once for each pair of values. */
export class LockWarnings {
  readonly #log = new Logger('LockService');
  readonly #said = new Set<string>();

  check(names: readonly string[], { renew, ttl, wait }: ResolvedLockOptions): void {
    if (renew || wait <= ttl || this.#said.size >= MAX_WARNINGS) return;
    const what = `wait (${wait} ms) is longer than ttl (${ttl} ms) and renew is false`;
    if (this.#said.has(what)) return;
    this.#said.add(what);
    const keys = names.map((name) => `'${lockKey(name)}'`).join(', ');
    this.#log.warn(`${what}: who waits for ${keys} comes in while an owner that needs longer still works`);
  }
}
