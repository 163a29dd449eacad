import { Inject, Injectable } from '@nestjs/common';
import { monotonicMs, sleep } from '@yuxi/core';
import { ConfigUnavailableError } from '../config-sync.errors.js';
import { CONFIG_SYNC_OPTIONS, type ResolvedConfigSyncOptions } from '../config-sync.options.js';
import { type ReplicaRow, ReplicaStore, type RolloutRow } from './replica.store.js';

/**
 * - `serving`: it serves the head.
 * - `behind`: it serves an earlier revision and sends heartbeats.
 * - `rejected`: it cannot apply the head, see `reason`.
 * - `starting`: it has not read the head yet.
 * - `missing`: no heartbeat for three periods, after any earlier state.
 */
export type ReplicaState = 'serving' | 'behind' | 'rejected' | 'starting' | 'missing';

export interface ReplicaStatus {
  id: string;
  state: ReplicaState;
  /** In force there by its last report. `null`: none yet. */
  revision: number | null;
  /** Why it does not serve the head, if it reported that. */
  reason?: string;
  /** Milliseconds since its last heartbeat. */
  silentMs: number;
}

export interface Rollout {
  /** The head. */
  revision: number;
  hash: string;
  /** Whether all replicas serve it. Never `true` while one is missing, because its revision is unknown. */
  converged: boolean;
  replicas: ReplicaStatus[];
}

/** Heartbeat periods without a heartbeat after which a replica is missing. */
const MISSED = 3;
/** Pauses of {@link ConfigRollout.wait}, milliseconds. */
const FIRST_PAUSE = 4;
const LONGEST_PAUSE = 100;

/** The revision that each replica serves. */
@Injectable()
export class ConfigRollout {
  readonly #missingAfter: number;

  constructor(
    private readonly store: ReplicaStore,
    @Inject(CONFIG_SYNC_OPTIONS) { reconcileEvery }: ResolvedConfigSyncOptions,
  ) {
    this.#missingAfter = reconcileEvery * MISSED;
  }

  /** @throws {ConfigUnavailableError} when the database cannot be read */
  async status(): Promise<Rollout> {
    const row = await this.store.rollout().catch((error: unknown) => {
      throw new ConfigUnavailableError('the list of replicas cannot be read from the database', error);
    });
    if (!row) throw new ConfigUnavailableError('no configuration has been stored yet');
    const replicas = row.replicas.map((replica) => ({
      id: replica.replica,
      state: this.#stateOf(replica, row),
      revision: replica.revision,
      ...(replica.reason !== null && { reason: replica.reason }),
      silentMs: Math.max(0, Math.round(replica.silent)),
    }));
    const converged = replicas.every(({ state }) => state === 'serving');
    return { revision: row.revision, hash: row.hash, converged, replicas };
  }

  /**
   * Waits until all replicas serve the head, or until the timeout. A revision committed meanwhile becomes the head to wait for.
   * @param timeout milliseconds
   * @returns the last status; `converged` is false after a timeout
   * @throws {ConfigUnavailableError} as {@link status}
   */
  async wait(timeout: number): Promise<Rollout> {
    const end = monotonicMs() + timeout;
    for (let pause = FIRST_PAUSE; ; pause = Math.min(pause * 1.5, LONGEST_PAUSE)) {
      const rollout = await this.status();
      const left = end - monotonicMs();
      if (rollout.converged || left <= 0) return rollout;
      await sleep(Math.min(pause, left));
    }
  }

  /** Removes a replica that will not return. @returns whether there was one with that name */
  forget(id: string): Promise<boolean> {
    return this.store.leave(id);
  }

  #stateOf({ epoch, revision, hash, refused, silent }: ReplicaRow, head: RolloutRow): ReplicaState {
    if (silent > this.#missingAfter) return 'missing';
    // Before `serving`: after a start, a replica can serve the valid part of a revision that it refused.
    if (refused === head.revision) return 'rejected';
    if (revision === head.revision && epoch === head.epoch && hash === head.hash) return 'serving';
    return revision === null ? 'starting' : 'behind';
  }
}
