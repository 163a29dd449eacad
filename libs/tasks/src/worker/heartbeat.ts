import { Logger } from '@nestjs/common';
import { monotonicMs, Periodic } from '@yuxi/core';
import type { Leases } from '../heartbeat/leases.js';
import { TaskCancelledError, TaskLostError } from '../tasks.errors.js';
import type { Outage } from './outage.js';
import type { Outcomes, Serial } from './outcomes.js';
import type { Run } from './run.js';
import type { WorkerStore } from './worker.store.js';

export interface HeartbeatParts {
  store: WorkerStore;
  /** Runs of this worker by task id. */
  running: ReadonlyMap<string, Run>;
  outcomes: Outcomes;
  serial: Serial;
  outage: Outage;
  /** Milliseconds. */
  lease: number;
  /** A thread that renews leases even while the main loop is blocked. Without it this heartbeat renews them. */
  leases?: Leases;
  /** Called when tasks were taken from dead workers, with the groups of those that have ended. */
  recovered: (groups: string[], count: number) => Promise<void>;
}

/**
 * The main loop's heartbeat for tasks that are rows. At least once a second it renews leases, stores progress and reads cancel
 * requests. It also recovers tasks whose lease has expired.
 */
export class Heartbeat {
  readonly #renewEvery: number;
  readonly #beats: Periodic;
  readonly #recoveries: Periodic;
  readonly #logger = new Logger('TaskWorker');
  #stopped = false;
  #busy = false;
  #renewedAt = 0;

  constructor(private readonly parts: HeartbeatParts) {
    const { lease, outage } = parts;
    // A lease allows five renewals, so that an outage of two thirds of the lease loses no task.
    this.#renewEvery = lease / 5;
    this.#beats = new Periodic(() => this.tick(), { every: Math.min(1000, this.#renewEvery), jitter: 0 });
    // A task of a dead worker waits for the end of its lease and for the next look.
    this.#recoveries = new Periodic(() => this.#recover(), {
      every: Math.min(1000, lease / 10),
      onError: (error) => outage.failed(error),
    });
  }

  start(): void {
    this.#beats.start();
    this.#recoveries.start();
  }

  stop(): void {
    this.#stopped = true;
    void this.#beats.stop();
    void this.#recoveries.stop();
  }

  /** Beats now, unless a beat is under way. */
  tick(): void {
    // Deferred: after a blocked main loop, messages about renewals by the thread must be read before leases are judged.
    setImmediate(() => this.#abortExpired());
    if (this.#busy || this.#stopped) return;
    this.#busy = true;
    void this.parts.serial
      .run(() => this.#beat())
      .then(
        (asked) => asked && this.parts.outage.succeeded(),
        (error: unknown) => this.parts.outage.failed(error),
      )
      .finally(() => (this.#busy = false));
  }

  /** @returns whether a statement was sent; a worker without work sends none */
  async #beat(): Promise<boolean> {
    const { store, running, outcomes } = this.parts;
    const runs = [...running.values()];
    const ids = [...new Set([...running.keys(), ...outcomes.ids])];
    this.parts.leases?.hold(ids);
    if (ids.length === 0) return false;
    const progress = runs.flatMap((run) => run.takeProgress() ?? []);
    if (progress.length > 0) await store.saveProgress(progress);
    const now = monotonicMs();
    const renew = this.#renewalIsDue(now);
    const mine = await store.check(ids, renew);
    if (renew) this.#renewedAt = now;
    for (const run of runs) {
      const { id } = run.row;
      const state = mine.get(id);
      if (running.get(id) !== run) continue;
      if (state?.run !== run.row.run) run.abort(new TaskLostError(id, 'it was removed or given to another worker'));
      else {
        if (renew) run.renewed(now);
        if (state.cancelled) run.abort(new TaskCancelledError(id));
      }
    }
    return true;
  }

  /** Leases are renewed here only if the thread has not renewed them for two periods. */
  #renewalIsDue(now: number): boolean {
    const { leases } = this.parts;
    const due = now - this.#renewedAt >= this.#renewEvery * 0.9;
    return due && (leases === undefined || now - leases.renewedAt >= this.#renewEvery * 2);
  }

  /** The thread has renewed the leases of these tasks. @param at before its statement was sent */
  renewed(ids: readonly string[], at: number): void {
    for (const id of ids) {
      const run = this.parts.running.get(id);
      if (run && run.leasedAt < at) run.renewed(at);
    }
  }

  /** A lease that was not renewed in time has expired, so that another worker may run the task. */
  #abortExpired(): void {
    const now = monotonicMs();
    for (const run of this.parts.running.values())
      if (now - run.leasedAt > this.parts.lease)
        run.abort(new TaskLostError(run.row.id, 'its lease could not be renewed in time'));
  }

  async #recover(): Promise<void> {
    const { store, outage, lease, recovered } = this.parts;
    // After an outage the leases of living workers have expired too. They get the time to renew them.
    if (outage.quietFor < lease) return;
    const { count, groups } = await store.recover();
    if (count === 0) return;
    this.#logger.warn(`${count} tasks of workers that disappeared were recovered`);
    await recovered(groups, count);
  }
}
