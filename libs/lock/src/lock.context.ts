import { AsyncLocalStorage } from 'node:async_hooks';
import type { Hold } from './hold.js';
import type { Lock } from './lock.types.js';

interface Scope {
  lock: Lock;
  holds: ReadonlyMap<string, Hold>;
}

/** The locks that the current chain of calls holds. It enters them again without waiting (re-entrancy). */
export class LockContext {
  readonly #scopes = new AsyncLocalStorage<Scope>();

  current(): Lock | undefined {
    return this.#scopes.getStore()?.lock;
  }

  /** Whether this chain of calls holds a lock. */
  get holdsAny(): boolean {
    return this.#scopes.getStore() !== undefined;
  }

  /** The valid hold of a key that a caller further up in this chain has acquired. */
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
