import { monotonicMs, type SqlThreadSource } from '@yuxi/core';
import { BeatWorker, type BeatWorkerData } from './beat-worker.js';
import { sharedMs } from './main-loop.js';

export interface LeaseOptions {
  /** How the thread reaches the database. */
  source: SqlThreadSource;
  /** Name of the worker in its rows. */
  worker: string;
  /** Milliseconds. */
  lease: number;
  /** A main loop that stood still for so long is given up, milliseconds. */
  maxBlock: number;
}

export type LeaseThreadData = LeaseOptions & BeatWorkerData;

/** Ids of all tasks that the worker holds. */
export type LeaseOrder = readonly string[];

export interface LeaseNews {
  /** Tasks whose leases were renewed. */
  ids: string[];
  /** `sharedMs` before the statement was sent. */
  sentAt: number;
}

/** Renews the leases of the tasks that this process runs, from a thread that no handler can hold up. It starts with the first task. */
export class Leases {
  readonly #thread: BeatWorker<LeaseOrder, LeaseNews>;
  #held: LeaseOrder = [];
  #renewedAt = Number.NEGATIVE_INFINITY;

  /** @param renewed hears what was renewed, and when that was asked for, {@link monotonicMs} */
  constructor(options: LeaseOptions, renewed: (ids: readonly string[], at: number) => void) {
    this.#thread = new BeatWorker('lease-thread', options, {
      begun: () => this.#thread.post(this.#held),
      heard: ({ ids, sentAt }) => {
        this.#renewedAt = monotonicMs() - (sharedMs() - sentAt);
        renewed(ids, this.#renewedAt);
      },
    });
  }

  /** When the thread has renewed something last, {@link monotonicMs}. */
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
