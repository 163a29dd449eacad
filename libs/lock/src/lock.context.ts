import { AsyncLocalStorage } from 'node:async_hooks';
import type { Hold } from './hold.js';
import type { Lock } from './lock.types.js';

interface Scope {
  lock: Lock;
  holds: ReadonlyMap<string, Hold>;
}

/** What the current chain of calls holds, so that it never waits for itself. */
export class LockContext {
  readonly #scopes = new AsyncLocalStorage<Scope>();

  current(): Lock | undefined {
    return this.#scopes.getStore()?.lock;
  }

  /** Whether this chain of calls holds anything. */
  get holdsAny(): boolean {
    return this.#scopes.getStore() !== undefined;
  }

  /** The hold of a key taken further up in this chain, as long as it is valid. */
  held(key: string): Hold | undefined {
    const hold = this.#scopes.getStore()?.holds.get(key);
    return hold?.isValid() ? hold : undefined;
  }

  run<T>(lock: Lock, holds: readonly Hold[], body: () => T): T {
    const outer = this.#scopes.getStore()?.holds ?? [];
    return this.#scopes.run(
      { lock, holds: new Map([...outer, ...holds.map((hold) => [hold.key, hold] as const)]) },
      body,
    );
  }
}
