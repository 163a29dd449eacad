import { monotonicMs } from '@yuxi/core';
import type { LockStore } from './stores/lock-store.js';

const MAX_PENDING = 10_000;

/**
 * Keys that may hold a token of ours that nobody uses: Redis did not answer when it was to be deleted, or when it may have
 * been written. They would expire by themselves, but until then block everybody.
 */
export class PendingReleases {
  readonly #pending = new Map<string, { key: string; token: string; until: number }>();
  #flushing = false;

  constructor(private readonly store: LockStore) {}

  get size(): number {
    return this.#pending.size;
  }

  add(key: string, token: string, ttlMs: number): void {
    if (this.#pending.size >= MAX_PENDING) return;
    this.#pending.set(`${key} ${token}`, { key, token, until: monotonicMs() + ttlMs });
    void this.flush();
  }

  /** Tries all of them once. Never rejects. */
  async flush(): Promise<void> {
    if (this.#flushing || this.#pending.size === 0) return;
    this.#flushing = true;
    try {
      for (const [id, { key, token, until }] of this.#pending) {
        if (monotonicMs() < until) await this.store.cancel(key, token);
        this.#pending.delete(id);
      }
    } catch {
      // Redis is still away; the rest waits for its return.
    } finally {
      this.#flushing = false;
    }
  }
}
