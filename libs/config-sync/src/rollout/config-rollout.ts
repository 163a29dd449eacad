import { Inject, Injectable } from '@nestjs/common';
import { monotonicMs, sleep } from '@yuxi/core';
import { ConfigUnavailableError } from '../config-sync.errors.js';
import { CONFIG_SYNC_OPTIONS } from '../config-sync.options.js';
import type { ResolvedConfigSyncOptions } from '../config-sync.options.js';
import { type ReplicaRow, ReplicaStore, type RolloutRow } from './replica.store.js';

/**
 * `serving` the head; `behind` it, but alive; `rejected`: it cannot apply the head, see `reason`; `starting`: it has read
 * nothing yet; `missing`: not heard of for three heartbeats, whatever it served then.
 */
export type ReplicaState = 'serving' | 'behind' | 'rejected' | 'starting' | 'missing';

export interface ReplicaStatus {
  id: string;
  state: ReplicaState;
  /** In force there by its last word; `null`: none yet. */
  revision: number | null;
  /** Why it does not serve the head, if it said so. */
  reason?: string;
  /** Since it was heard of, milliseconds. */
  silentMs: number;
}

export interface Rollout {
  /** The head. */
  revision: number;
  hash: string;
  /** All replicas serve it. A replica that went silent is not known to, so that it is never `true` while one is missing. */
  converged: boolean;
  replicas: ReplicaStatus[];
}

/** Heartbeats after which a replica is missing. */
const MISSED = 3;
const FIRST_PAUSE = 4;
const LONGEST_PAUSE = 100;

/** Which replicas serve which revision. */
@Injectable()
export class ConfigRollout {
  readonly #missingAfter: number;

  constructor(
    private readonly store: ReplicaStore,
    @Inject(CONFIG_SYNC_OPTIONS) { reconcileEvery }: ResolvedConfigSyncOptions,
  ) {
    this.#missingAfter = reconcileEvery * MISSED;
  }

  /** @throws {ConfigUnavailableError} when the database cannot be asked. */
  async status(): Promise<Rollout> {
    const row = await this.store.rollout().catch((error: unknown) => {
      throw new ConfigUnavailableError('the database does not say which replicas there are', error);
    });
    if (!row) throw new ConfigUnavailableError('nothing was ever stored');
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
   * Waits until all replicas serve the head. A later revision that others commit meanwhile has to be served as well.
   * @param timeout milliseconds
   * @returns what is known at the end; `converged` tells whether it was worth the wait
   * @throws {ConfigUnavailableError} as {@link status}.
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

  /** No longer counts a replica that will not come back. @returns whether there was one of that name. */
  forget(id: string): Promise<boolean> {
    return this.store.leave(id);
  }

  #stateOf({ epoch, revision, hash, refused, silent }: ReplicaRow, head: RolloutRow): ReplicaState {
    if (silent > this.#missingAfter) return 'missing';
    // First, since a replica that had nothing better serves the valid part of a revision that it refused.
    if (refused === head.revision) return 'rejected';
    if (revision === head.revision && epoch === head.epoch && hash === head.hash) return 'serving';
    return revision === null ? 'starting' : 'behind';
  }
}
