import { type Duration, toMs } from '@yuxi/core';
import { unavailableReason } from '@yuxi/redis';
import type { Hold } from './hold.js';
import { LockLostError, LockOptionsError, LockUnavailableError } from './lock.errors.js';
import { MAX_TTL_MS } from './lock.options.js';
import type { Lock, ReleaseResult } from './lock.types.js';

/** The lock as one caller sees it: one hold for each name. */
export class LockHandle implements Lock {
  readonly token: string;
  readonly fence: number | null;
  readonly degraded: boolean;
  #released: Promise<ReleaseResult> | undefined;
  #signal: AbortSignal | undefined;

  constructor(
    readonly names: readonly string[],
    /** In the order of `names`. */
    readonly holds: readonly Hold[],
  ) {
    this.token = holds[0]!.token;
    this.fence = highestFence(holds);
    this.degraded = this.fence === null && holds.some(({ degraded }) => degraded);
  }

  get signal(): AbortSignal {
    return (this.#signal ??=
      this.holds.length === 1 ? this.holds[0]!.signal : AbortSignal.any(this.holds.map(({ signal }) => signal)));
  }

  get remainingMs(): number {
    return this.#released ? 0 : Math.min(...this.holds.map(({ remainingMs }) => remainingMs));
  }

  tokenOf(name: string): string | null {
    return this.#holdOf(name)?.token ?? null;
  }

  fenceOf(name: string): number | null {
    return this.#holdOf(name)?.fence ?? null;
  }

  assertValid(): void {
    for (const hold of this.holds) hold.assertValid();
    if (this.#released) throw new LockLostError(this.names, 'released');
  }

  async extend(ttl?: Duration): Promise<void> {
    const ms = ttl === undefined ? undefined : readTtl(ttl);
    this.assertValid();
    try {
      for (const hold of this.holds) await hold.extend(ms ?? hold.ttl);
    } catch (error) {
      if (error instanceof LockLostError) throw error;
      throw new LockUnavailableError(this.names, unavailableReason(error) ?? 'error', error);
    }
  }

  release(): Promise<ReleaseResult> {
    return (this.#released ??= this.#release());
  }

  #holdOf(name: string): Hold | undefined {
    return this.holds.find((hold) => hold.name === name);
  }

  async #release(): Promise<ReleaseResult> {
    if (this.holds.length === 1) return this.holds[0]!.release();
    const results = await Promise.all(this.holds.map((hold) => hold.release()));
    if (results.includes('lost')) return 'lost';
    return results.includes('handed-off') ? 'handed-off' : 'released';
  }

  lostError(): LockLostError {
    return this.holds.find(({ lost }) => lost)?.lost ?? new LockLostError(this.names, 'taken');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.release();
  }
}

/** `null` when one hold has no fence. */
function highestFence(holds: readonly Hold[]): number | null {
  let highest = 0;
  for (const { fence } of holds) {
    if (fence === null) return null;
    highest = Math.max(highest, fence);
  }
  return highest;
}

function readTtl(ttl: Duration): number {
  return LockOptionsError.translate(() => toMs('ttl', ttl, { max: MAX_TTL_MS }), 'Lock.extend');
}
