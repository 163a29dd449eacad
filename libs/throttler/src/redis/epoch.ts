import { monotonicMs } from '@yuxi/core';
import { companionKey, defineScript, KEY_PREFIX, type RedisClient } from '@yuxi/redis';
import type { ServerClock } from './server-clock.js';

const EPOCH = defineScript('limiter-epoch', new URL('../lua/epoch.lua', import.meta.url), 2);
const REPLICAS = `${KEY_PREFIX}limiter:replicas`;
const KEYS = [REPLICAS, companionKey('limiter_epoch', REPLICAS)];

/** How often a process says that it lives. */
export const BEAT_MS = 1000;
/** A process that was silent for longer does not count. */
const ALIVE_MS = 3500;
/** Longest time that processes wait for each other after Redis has lost data. */
const RECOVERY_MS = 2000;

export interface EpochState {
  /** Empty: Redis has lost it, and the limits with it. */
  id: string;
  /** `moved`: another server or start of it, what it holds may lag behind. */
  how: 'new' | 'lost' | 'moved' | '';
  /** Milliseconds for which others may still have hits to put back; 0: none. */
  waitMs: number;
  /** Processes that live, this one among them. */
  alive: string[];
}

/** Which processes count here, and whether Redis still holds what they have counted: the epoch changes when it may not. */
export class Epoch {
  constructor(
    private readonly client: RedisClient,
    private readonly process: string,
    private readonly clock: ServerClock,
  ) {}

  /**
   * After a connection was made: finds the epoch, or opens a new one where data was lost.
   * @param prior epoch in which this process has counted, empty: none
   * @param known processes that lived before
   */
  join(prior: string, known: readonly string[]): Promise<EpochState> {
    return this.#ask('join', prior, known);
  }

  /** All hits of this process are back. */
  done(id: string): Promise<EpochState> {
    return this.#ask('done', id);
  }

  beat(): Promise<EpochState> {
    return this.#ask('beat', '');
  }

  async leave(): Promise<void> {
    await this.#ask('leave', '');
  }

  async #ask(what: string, epoch: string, known: readonly string[] = []): Promise<EpochState> {
    const sentAt = monotonicMs();
    const args = [what, this.process, epoch, ALIVE_MS, RECOVERY_MS, ...known];
    const answer = await EPOCH.run(this.client, KEYS, args);
    const [now, id, how, waitMs, ...alive] = answer as [number, string, EpochState['how'], number, ...string[]];
    this.clock.observe(now, sentAt);
    return { id, how, waitMs, alive };
  }
}
