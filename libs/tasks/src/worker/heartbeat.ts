import { Logger } from '@nestjs/common';
import { jitter, monotonicMs, sleep } from '@yuxi/core';
import { TaskCancelledError, TaskLostError } from '../tasks.errors.js';
import type { Leases } from '../beats/leases.js';
import type { Outage } from './outage.js';
import type { Outcomes } from './outcomes.js';
import type { Run } from './run.js';
import type { Serial } from './serial.js';
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
  /** A thread that renews leases while the main loop stands still; without one it is done here. */
  leases?: Leases;
  /** Called with groups in which a member ended, and when tasks of dead workers wait again. */
  recovered: (groups: string[], count: number) => Promise<void>;
}

/** Once a second at least: renews leases, stores progress, learns of cancels; and looks for leases that ran out. */
export class Heartbeat {
  private readonly every: number;
  private readonly renewEvery: number;
  private readonly lookEvery: number;
  private readonly stopped = new AbortController();
  private readonly logger = new Logger('TaskWorker');
  private timer?: NodeJS.Timeout;
  private beating = false;
  private renewedAt = 0;

  constructor(private readonly parts: HeartbeatParts) {
    // Five renewals fit into a lease, so that an outage of two thirds of it costs nobody his tasks.
    this.renewEvery = parts.lease / 5;
    this.every = Math.min(1000, this.renewEvery);
    // What a dead worker held waits for its lease and then for somebody to look.
    this.lookEvery = Math.min(1000, parts.lease / 10);
  }

  start(): void {
    this.timer = setInterval(() => this.tick(), this.every).unref();
    void this.recoverNowAndThen();
  }

  stop(): void {
    clearInterval(this.timer);
    this.stopped.abort();
  }

  /** Beats now, unless a beat is under way. */
  tick(): void {
    // Behind a deferral: renewals by the thread that came while this process was busy are read before the verdict.
    setImmediate(() => this.endExpired());
    if (this.beating || this.stopped.signal.aborted) return;
    this.beating = true;
    void this.parts.serial
      .run(() => this.beat())
      .then(
        (asked) => asked && this.parts.outage.succeeded(),
        (error: unknown) => this.parts.outage.failed(error),
      )
      .finally(() => (this.beating = false));
  }

  /** @returns whether the database was asked: a worker without work asks nothing */
  private async beat(): Promise<boolean> {
    const { store, running, outcomes } = this.parts;
    const runs = [...running.values()];
    const ids = [...new Set([...running.keys(), ...outcomes.ids])];
    this.parts.leases?.hold(ids);
    if (ids.length === 0) return false;
    const progress = runs.flatMap((run) => run.takeProgress() ?? []);
    if (progress.length > 0) await store.saveProgress(progress);
    const now = monotonicMs();
    const renew = this.renewalIsDue(now);
    const mine = await store.check(ids, renew);
    if (renew) this.renewedAt = now;
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

  /** The thread comes first: only what it has not renewed for long is renewed here. */
  private renewalIsDue(now: number): boolean {
    const { leases } = this.parts;
    const due = now - this.renewedAt >= this.renewEvery * 0.9;
    return due && (leases === undefined || now - leases.renewedAt >= this.renewEvery * 2);
  }

  /** Leases of these tasks were renewed by the thread, which was asked for at that time. */
  renewed(ids: readonly string[], at: number): void {
    for (const id of ids) {
      const run = this.parts.running.get(id);
      if (run && run.leasedAt < at) run.renewed(at);
    }
  }

  /** Without a word from the database for a whole lease, somebody else may have the task by now. */
  private endExpired(): void {
    const now = monotonicMs();
    for (const run of this.parts.running.values())
      if (now - run.leasedAt > this.parts.lease)
        run.abort(new TaskLostError(run.row.id, 'its lease could not be renewed in time'));
  }

  private async recoverNowAndThen(): Promise<void> {
    const { store, outage, lease, recovered } = this.parts;
    const { signal } = this.stopped;
    while (!signal.aborted) {
      await sleep(jitter(this.lookEvery), signal);
      // After an outage the leases of living workers have run out too: they get the time to renew them.
      if (signal.aborted || outage.quietFor < lease) continue;
      try {
        const { count, groups } = await store.recover();
        if (count > 0) this.logger.warn(`${count} tasks of workers that disappeared were taken back`);
        if (count > 0) await recovered(groups, count);
      } catch (error) {
        outage.failed(error);
      }
    }
  }
}
