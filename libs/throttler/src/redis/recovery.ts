import { monotonicMs } from '@yuxi/core';
import { companionKey, defineScript, KEY_PREFIX, type RedisClient } from '@yuxi/redis';
import { type LoggedHit, Origin } from '../local/hit-log.js';
import type { KeyState } from '../local/key-state.js';
import type { LocalReplica } from '../local/local-replica.js';
import type { LimitScripts } from './limit-scripts.js';
import type { ServerClock } from './server-clock.js';

const EPOCH = defineScript('limiter-epoch', new URL('../lua/epoch.lua', import.meta.url), 2);
const REPLICAS = `${KEY_PREFIX}limiter:replicas`;
const KEYS = [REPLICAS, companionKey('limiter_epoch', REPLICAS)];

export const HEARTBEAT_MS = 1000;
/** A process whose last heartbeat is older does not share the limits. */
const ALIVE_MS = 3500;
/** Longest time that processes wait for each other after Redis has lost data. */
const RECOVERY_MS = 2000;

export interface EpochState {
  /** Empty: Redis has lost the epoch, and the counters with it. */
  id: string;
  /** `moved`: another server, or the same one restarted. Its data may be older than the last answers. */
  how: 'new' | 'lost' | 'moved' | '';
  /** Milliseconds for which other processes may still have hits to restore; 0: none. */
  waitMs: number;
  /** Processes with a recent heartbeat, including this one. */
  alive: string[];
}

/**
 * Registers this process, and detects whether Redis still holds the counters. A new epoch begins when some of them may be lost.
 */
export class Epoch {
  constructor(
    private readonly client: RedisClient,
    private readonly process: string,
    private readonly clock: ServerClock,
  ) {}

  /**
   * Called after a connection was made: reads the epoch, or begins a new one where data was lost.
   * @param prior epoch in which this process has counted, empty: none
   * @param known processes that were alive before
   */
  join(prior: string, known: readonly string[]): Promise<EpochState> {
    return this.#run('join', prior, known);
  }

  /** Reports that all hits of this process are back in Redis. */
  done(id: string): Promise<EpochState> {
    return this.#run('done', id);
  }

  heartbeat(): Promise<EpochState> {
    return this.#run('beat', '');
  }

  async leave(): Promise<void> {
    await this.#run('leave', '');
  }

  async #run(what: string, epoch: string, known: readonly string[] = []): Promise<EpochState> {
    const sentAt = monotonicMs();
    const args = [what, this.process, epoch, ALIVE_MS, RECOVERY_MS, ...known];
    const answer = await EPOCH.run(this.client, KEYS, args);
    const [now, id, how, waitMs, ...alive] = answer as [number, string, EpochState['how'], number, ...string[]];
    this.clock.observe(now, sentAt);
    return { id, how, waitMs, alive };
  }
}

/** Keys that are restored at once. Between two groups the event loop is free for other work. */
const GROUP = 256;
const MAX_RESETS = 10_000;

/** Writes the counters of this process back into a Redis that may have lost them. */
export class Restorer {
  /** Resets made while Redis was unavailable. */
  readonly #resets = new Map<string, { at: number; limit: string }>();

  constructor(
    private readonly scripts: LimitScripts,
    private readonly local: LocalReplica,
    private readonly clock: ServerClock,
    private readonly restored: (hits: number) => void,
  ) {}

  /** Repeats a reset in Redis when it is available again. */
  resetLater(key: string, at: number, limit: string): void {
    if (this.#resets.size < MAX_RESETS) this.#resets.set(key, { at, limit });
  }

  /** All keys. Rejects when Redis fails again; keys that were not restored stay marked as such. */
  async restoreAll(epoch: EpochState): Promise<void> {
    for (const [key, { at, limit }] of this.#resets) {
      await this.scripts.reset(key, at, limit);
      this.#resets.delete(key);
    }
    const states = this.local.all();
    for (let from = 0; from < states.length; from += GROUP)
      await Promise.all(states.slice(from, from + GROUP).map((state) => this.restore(state, epoch)));
  }

  /** One key. Await it before Redis decides on that key. */
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
    // Where data was lost, the counts of all processes add up. Where it was kept, Redis already has the acknowledged hits.
    if (state.epoch !== id) parts.push(this.#put(state, isAcknowledged, how === 'moved' ? 'm' : 's'));
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
    return this.scripts.putBack(state.key, `${numbers.join(' ')} ${hits.join(';')}`);
  }
}

const isPending = ({ origin }: LoggedHit) => origin === Origin.Pending;
const isAcknowledged = (hit: LoggedHit) => !isPending(hit);
