import { Logger } from '@nestjs/common';
import { jitter, monotonicMs, Periodic, sleep, type SqlClient, within } from '@yuxi/core';
import { requestContext } from '@yuxi/observability';
import { Leases } from '../heartbeat/leases.js';
import type { QueueLimits, WorkerSize } from '../limits.js';
import { Once } from '../once.js';
import { PackedContext } from '../packed-context.js';
import { closeGroups } from '../store/groups.js';
import { sweep, sweepEffects } from '../store/sweep.js';
import type { TaskMetrics } from '../task.metrics.js';
import type { RegisteredTask, TaskRegistry } from '../task.registry.js';
import { TaskHandedBackError } from '../tasks.errors.js';
import { abortGraceMs, flushTimeoutMs, type ResolvedTasksOptions } from '../tasks.options.js';
import { Heartbeat } from './heartbeat.js';
import { Outage } from './outage.js';
import { Outcomes, Serial } from './outcomes.js';
import { Run } from './run.js';
import type { ClaimedTask, WorkerStore } from './worker.store.js';

/** Claims tasks that are rows and runs their handlers until it is stopped. */
export class TaskWorker {
  readonly #logger = new Logger('TaskWorker');
  readonly #running = new Map<string, Run>();
  readonly #stopping = new AbortController();
  readonly #outage = new Outage(this.#logger);
  readonly #effects: Once;
  readonly #outcomes: Outcomes;
  readonly #heartbeat: Heartbeat;
  readonly #leases?: Leases;
  readonly #sweepLoop: Periodic;
  #wake = new AbortController();
  #loop: Promise<void> = Promise.resolve();
  #turn = 0;
  #turnedAt = monotonicMs();

  constructor(
    private readonly sql: SqlClient,
    private readonly store: WorkerStore,
    private readonly registry: TaskRegistry,
    private readonly options: ResolvedTasksOptions,
    private readonly metrics: TaskMetrics,
    private readonly size: WorkerSize,
    private readonly limits: QueueLimits,
  ) {
    this.#effects = new Once(sql);
    const outage = this.#outage;
    const serial = new Serial();
    const { threads } = sql;
    const { lease, maxBlock } = options;
    this.#leases =
      threads &&
      new Leases({ source: threads, worker: store.worker, lease, maxBlock }, (ids, at) =>
        this.#heartbeat.renewed(ids, at),
      );
    this.#outcomes = new Outcomes(async (batch) => this.#close(await store.finish(batch)), serial, outage);
    this.#heartbeat = new Heartbeat({
      store,
      running: this.#running,
      outage,
      serial,
      outcomes: this.#outcomes,
      lease,
      leases: this.#leases,
      recovered: async (groups, count) => {
        metrics.recovered(count);
        this.notify();
        await this.#close(groups);
      },
    });
    this.#sweepLoop = new Periodic(() => this.#sweep(), {
      every: options.sweepEvery,
      onError: (error) => outage.failed(error),
    });
  }

  start(): void {
    if (this.#stopping.signal.aborted) return;
    this.#heartbeat.start();
    this.#loop = this.#claimLoop();
    this.#sweepLoop.start();
    const { queues } = this.options;
    const what = `${this.size.concurrency} at once${queues ? `, queues ${queues.join(', ')}` : ''}`;
    this.#logger.log(`worker ${this.store.worker} runs tasks: ${what}`);
  }

  /** Milliseconds since the claim loop last turned. */
  get stillFor(): number {
    return this.#stopping.signal.aborted ? 0 : monotonicMs() - this.#turnedAt;
  }

  /** Claims tasks at once. */
  notify(): void {
    this.#wake.abort();
  }

  /** Reads cancel requests at once. */
  notifyHeartbeat(): void {
    this.#heartbeat.tick();
  }

  /** Claims no more tasks, lets handlers finish within the grace, then hands back the tasks of those that still run. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    void this.#sweepLoop.stop();
    this.notify();
    await atMost(flushTimeoutMs.rows, this.#loop);
    await this.#idle(this.options.shutdownGrace);
    for (const [id, run] of this.#running) run.abort(new TaskHandedBackError(id));
    await this.#idle(abortGraceMs);
    const left = [...this.#running.values()];
    for (const run of left) this.#outcomes.add(run.handBack());
    if (left.length > 0) this.#logger.warn(`${left.length} handlers ignored their signal; their tasks are handed back`);
    await atMost(flushTimeoutMs.rows, this.#outcomes.flushed());
    this.#heartbeat.stop();
    await this.#leases?.stop();
  }

  async #claimLoop(): Promise<void> {
    while (!this.#stopping.signal.aborted) {
      this.#wake = new AbortController();
      this.#turnedAt = monotonicMs();
      const more = await this.#claimOnce();
      if (!more) await sleep(jitter(this.#outage.active ? 1000 : this.options.pollInterval), this.#wake.signal);
    }
  }

  /** @returns whether more tasks may be waiting */
  async #claimOnce(): Promise<boolean> {
    let more = false;
    const counts = new Map<string, number>();
    for (const { row } of this.#running.values()) counts.set(row.name, (counts.get(row.name) ?? 0) + 1);
    // More tasks may run than the size allows, if it was reduced.
    const free = () => Math.max(0, this.size.concurrency - this.#running.size);
    try {
      for (const step of planClaims(this.registry.all(), counts, free(), this.#turn++)) {
        const limit = Math.min(step.limit, free());
        if (limit <= 0 || this.#stopping.signal.aborted) continue;
        const claimedAt = monotonicMs();
        const rows = await this.#claim(step.known, limit);
        this.#outage.succeeded();
        for (const row of rows) this.#begin(new Run(row, this.registry.get(row.name)!, this.#effects, claimedAt));
        more ||= rows.length === limit && free() > 0;
      }
    } catch (error) {
      this.#outage.failed(error);
    }
    return more;
  }

  /** Queues with a limit are claimed last, one by one. */
  async #claim(known: Record<string, number>, limit: number): Promise<ClaimedTask[]> {
    const { queues } = this.options;
    const limited = this.limits.queues.filter((queue) => !queues || queues.includes(queue));
    const rows = await this.store.claim({ known, limit, queues, except: limited });
    for (const queue of limited) {
      const left = limit - rows.length;
      if (left > 0)
        rows.push(...(await this.store.claimWithin(queue, this.limits.of(queue)!, { known, limit: left, except: [] })));
    }
    return rows;
  }

  #begin(run: Run): void {
    // The claim was under way when the shutdown began.
    if (this.#stopping.signal.aborted) return this.#outcomes.add(run.handBack());
    this.#running.set(run.row.id, run);
    // The thread must receive the task before its handler can block the main loop.
    this.#leases?.hold([...this.#running.keys(), ...this.#outcomes.ids]);
    this.metrics.began(run);
    void this.#follow(run);
  }

  async #follow(run: Run): Promise<void> {
    const { context } = run.row;
    const execute = () => run.execute();
    const outcome = await (context === null ? execute() : requestContext.run(new PackedContext(context), execute));
    this.#running.delete(run.row.id);
    this.metrics.ended(run, outcome);
    if (outcome) this.#outcomes.add(outcome);
    this.notify();
  }

  async #close(groups: string[]): Promise<void> {
    if (groups.length > 0) await closeGroups(this.sql, groups);
  }

  /** Resolves when no handler runs, or after `limit` milliseconds. */
  async #idle(limit: number): Promise<void> {
    const end = monotonicMs() + limit;
    while (this.#running.size > 0 && monotonicMs() < end) await sleep(Math.min(20, limit));
  }

  async #sweep(): Promise<void> {
    await sweep(this.sql, this.options.keep);
    await sweepEffects(this.sql, this.options.keepEffects);
  }
}

/** Waits for work that never rejects, but not longer than `ms`: a shutdown must end while the database is unavailable. */
async function atMost(ms: number, work: Promise<unknown>): Promise<void> {
  await within(ms, work, () => new Error('timeout')).catch(() => undefined);
}

/** One claim: tasks of these names, at most `limit`. */
interface ClaimStep {
  known: Record<string, number>;
  limit: number;
}

/**
 * How to fill `free` slots. Handlers with a limit are claimed one by one, all others together.
 * @param running runs by task name
 * @param turn shifts the order, so that no handler is always last
 */
function planClaims(
  tasks: readonly RegisteredTask[],
  running: ReadonlyMap<string, number>,
  free: number,
  turn: number,
): ClaimStep[] {
  const shared: Record<string, number> = {};
  const steps: ClaimStep[] = [];
  for (const { name, version, concurrency } of tasks) {
    if (concurrency === undefined) shared[name] = version;
    else if (concurrency > (running.get(name) ?? 0))
      steps.push({ known: { [name]: version }, limit: Math.min(free, concurrency - (running.get(name) ?? 0)) });
  }
  if (Object.keys(shared).length > 0) steps.unshift({ known: shared, limit: free });
  const shift = steps.length > 0 ? turn % steps.length : 0;
  return [...steps.slice(shift), ...steps.slice(0, shift)];
}
