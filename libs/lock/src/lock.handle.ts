import { type Duration, toMs } from '@yuxi/core';
import type { Hold } from './hold.js';
import { LockLostError, LockOptionsError, LockUnavailableError } from './lock.errors.js';
import { MAX_TTL_MS } from './lock.options.js';
import type { Lock, ReleaseResult } from './lock.types.js';

/** One caller's view of the holds it uses. */
export class LockHandle implements Lock {
  readonly names: readonly string[];
  readonly token: string;
  readonly fence: number | null;
  readonly degraded: boolean;
  #released: Promise<ReleaseResult> | undefined;
  #signal: AbortSignal | undefined;

  constructor(
    readonly holds: readonly Hold[],
    private readonly unavailable: (error: unknown) => string | undefined,
  ) {
    const fences = holds.flatMap(({ fence }) => (fence === null ? [] : [fence]));
    this.names = holds.map(({ name }) => name);
    this.token = holds[0]!.token;
    this.fence = fences.length === holds.length ? Math.max(...fences) : null;
    this.degraded = holds.some(({ degraded }) => degraded);
  }

  get signal(): AbortSignal {
    return (this.#signal ??=
      this.holds.length === 1 ? this.holds[0]!.signal : AbortSignal.any(this.holds.map(({ signal }) => signal)));
  }

  get remainingMs(): number {
    return this.#released ? 0 : Math.min(...this.holds.map(({ remainingMs }) => remainingMs));
  }

  fenceOf(name: string): number | null {
    return this.holds.find((hold) => hold.name === name)?.fence ?? null;
  }

  assertValid(): void {
    for (const hold of this.holds) hold.assertValid();
    if (this.#released) throw new LockLostError(this.names, 'released');
  }

  async extend(ttl?: Duration): Promise<void> {
    const ms = ttl === undefined ? undefined : LockOptionsError.translate(() => toMs('ttl', ttl, { max: MAX_TTL_MS }));
    this.assertValid();
    try {
      for (const hold of this.holds) await hold.extend(ms ?? hold.ttl);
    } catch (error) {
      if (error instanceof LockLostError) throw error;
      throw new LockUnavailableError(this.names, this.unavailable(error) ?? 'error', error);
    }
  }

  release(): Promise<ReleaseResult> {
    return (this.#released ??= this.#release());
  }

  async #release(): Promise<ReleaseResult> {
    if (this.holds.length === 1) return this.holds[0]!.release();
    const results = await Promise.all(this.holds.map((hold) => hold.release()));
    if (results.includes('lost')) return 'lost';
    return results.includes('handed-off') ? 'handed-off' : 'released';
  }

  /** Why it was lost. */
  lostError(): LockLostError {
    return this.holds.find(({ lost }) => lost)?.lost ?? new LockLostError(this.names, 'taken');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.release();
  }
}
