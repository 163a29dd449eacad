import { type LoggedHit, Origin } from '../shadow/hit-log.js';
import type { KeyState } from '../shadow/key-state.js';
import type { Shadow } from '../shadow/shadow.js';
import type { EpochState } from './epoch.js';
import type { LimitWire } from './limit-wire.js';
import type { ServerClock } from './server-clock.js';

/** Keys that are put back at once, between two looks at everything else that waits. */
const SLICE = 256;
const MOST_RESETS = 10_000;

/** Gives Redis back what this process knows and Redis may have lost. */
export class Restorer {
  /** Resets made while Redis was away. */
  readonly #resets = new Map<string, { at: number; limit: string }>();

  constructor(
    private readonly wire: LimitWire,
    private readonly shadow: Shadow,
    private readonly clock: ServerClock,
    private readonly restored: (hits: number) => void,
  ) {}

  /** Remembers a reset for the return of Redis. */
  resetLater(key: string, at: number, limit: string): void {
    if (this.#resets.size < MOST_RESETS) this.#resets.set(key, { at, limit });
  }

  /** All keys. Rejects when Redis goes away again; what was not put back is remembered as such. */
  async restoreAll(epoch: EpochState): Promise<void> {
    for (const [key, { at, limit }] of this.#resets) {
      await this.wire.reset(key, at, limit);
      this.#resets.delete(key);
    }
    const states = this.shadow.all();
    for (let from = 0; from < states.length; from += SLICE)
      await Promise.all(states.slice(from, from + SLICE).map((state) => this.restore(state, epoch)));
  }

  /** One key; to be awaited before Redis decides on it. */
  async restore(state: KeyState, epoch: EpochState): Promise<void> {
    if (state.restoring) return state.restoring;
    state.prune(this.clock.now());
    if (state.epoch === epoch.id && state.log.pending === 0) return;
    state.restoring = this.#send(state, epoch).finally(() => (state.restoring = undefined));
    await state.restoring;
  }

  async #send(state: KeyState, { id, how }: EpochState): Promise<void> {
    const upTo = Math.max(0, ...[...state.log].map(({ number }) => number));
    const parts: Promise<number>[] = [];
    // Where data was lost, the counts of all processes add up; where it was kept, what was acknowledged is there already.
    if (state.epoch !== id) parts.push(this.#put(state, isThere, how === 'moved' ? 'm' : 's'));
    if (state.log.pending > 0) parts.push(this.#put(state, isPending, 's'));
    const added = await Promise.all(parts);
    state.epoch = id;
    state.log.settle(upTo);
    const hits = added.reduce((sum, each) => sum + each, 0);
    if (hits > 0) this.restored(hits);
  }

  async #put(state: KeyState, which: (hit: LoggedHit) => boolean, how: 's' | 'm'): Promise<number> {
    const hits = [...state.log]
      .filter(which)
      .map(({ stamp, cost, number }) => `${stamp}.${cost}.${number.toString(36)}`);
    const blocked = state.blockedUntil > this.clock.now();
    if (hits.length === 0 && !blocked && state.windowEnd === 0) return 0;
    const { life, grain, blockedUntil, level, blockKnownAt, windowEnd, deadAt } = state;
    const numbers = [life, grain, how, blocked ? blockedUntil : 0, level, blockKnownAt, windowEnd, deadAt];
    return this.wire.putBack(state.key, `${numbers.join(' ')} ${hits.join(';')}`);
  }
}

const isPending = ({ origin }: LoggedHit) => origin === Origin.Pending;
const isThere = (hit: LoggedHit) => !isPending(hit);
