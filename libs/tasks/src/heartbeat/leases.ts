import { monotonicMs, type SqlThreadSource } from '@yuxi/core';
import { HeartbeatThread, type HeartbeatThreadData } from './heartbeat-thread.js';
import { sharedMs } from './main-loop.js';

export interface LeaseOptions {
  /** How the thread connects to the database. */
  source: SqlThreadSource;
  /** Name of the worker in its rows. */
  worker: string;
  /** Milliseconds. */
  lease: number;
  /** A process whose main loop is blocked for this time loses its tasks, milliseconds. */
  maxBlock: number;
}

export type LeaseThreadData = LeaseOptions & HeartbeatThreadData;

/** Ids of all tasks that the worker holds. */
export type LeaseOrder = readonly string[];

export interface LeaseReport {
  /** Tasks whose leases were renewed. */
  ids: string[];
  /** `sharedMs` before the statement was sent. */
  sentAt: number;
}

/**
 * Renews the leases of the rows that this process runs, from a thread that no handler can block. The thread starts with the first
 * task.
 */
export class Leases {
  readonly #thread: HeartbeatThread<LeaseOrder, LeaseReport>;
  #held: LeaseOrder = [];
  #renewedAt = Number.NEGATIVE_INFINITY;

  /** @param renewed called with the renewed tasks and the time before the statement was sent, {@link monotonicMs} */
  constructor(options: LeaseOptions, renewed: (ids: readonly string[], at: number) => void) {
    this.#thread = new HeartbeatThread('lease-thread', options, {
      started: () => this.#thread.post(this.#held),
      reported: ({ ids, sentAt }) => {
        this.#renewedAt = monotonicMs() - (sharedMs() - sentAt);
        renewed(ids, this.#renewedAt);
      },
    });
  }

  /** When the thread last renewed a lease, {@link monotonicMs}. */
  get renewedAt(): number {
    return this.#renewedAt;
  }

  hold(ids: LeaseOrder): void {
    if (ids.length === this.#held.length && ids.every((id, i) => id === this.#held[i])) return;
    this.#held = ids;
    if (this.#thread.running) this.#thread.post(ids);
    else if (ids.length > 0) this.#thread.start();
  }

  stop(): Promise<void> {
    return this.#thread.stop();
  }
}
