import { Logger } from '@nestjs/common';
import { jitter, monotonicMs, sleep, type SqlClient } from '@yuxi/core';
import { requestContext } from '@yuxi/observability';
import { Once } from '../effects/once.js';
import { PackedContext } from '../packed-context.js';
import { closeGroups } from '../store/groups.js';
import { sweep, sweepEffects } from '../store/sweep.js';
import type { QueueLimits } from '../queue-limits.js';
import type { TaskMetrics } from '../task.metrics.js';
import type { TaskRegistry } from '../task.registry.js';
import { TaskHandedBackError } from '../tasks.errors.js';
import type { ResolvedTasksOptions } from '../tasks.options.js';
import { Leases } from '../beats/leases.js';
import { planClaims } from './claim-plan.js';
import { Heartbeat } from './heartbeat.js';
import { Outage } from './outage.js';
import { Outcomes } from './outcomes.js';
import { Run } from './run.js';
import { Serial } from './serial.js';
import type { WorkerSize } from './worker-size.js';
import type { ClaimedTask, WorkerStore } from './worker.store.js';

/** After the signals of a shutdown, handlers get so long to end by themselves, milliseconds. */
const LAST_WORDS = 1000;
/** A shutdown waits no longer than this for the database, milliseconds. */
const GOODBYE = 5000;

/** Claims tasks and runs their handlers until it is stopped. */
export class TaskWorker {
  private readonly logger = new Logger('TaskWorker');
  private readonly running = new Map<string, Run>();
  private readonly stopping = new AbortController();
  private readonly outage = new Outage(this.logger);
  private readonly effects: Once;
  private readonly outcomes: Outcomes;
  private readonly heartbeat: Heartbeat;
  private readonly leases?: Leases;
  private wake = new AbortController();
  private loop: Promise<void> = Promise.resolve();
  private turn = 0;
  private turnedAt = monotonicMs();

  constructor(
    private readonly sql: SqlClient,
    private readonly store: WorkerStore,
    private readonly registry: TaskRegistry,
    private readonly options: ResolvedTasksOptions,
    private readonly metrics: TaskMetrics,
    private readonly size: WorkerSize,
    private readonly limits: QueueLimits,
  ) {
    const { running, outage } = this;
    this.effects = new Once(sql);
    const serial = new Serial();
    const { threads } = sql;
    const { lease, maxBlock } = options;
    this.leases =
      threads &&
      new Leases({ source: threads, worker: store.worker, lease, maxBlock }, (ids, at) =>
        this.heartbeat.renewed(ids, at),
      );
    this.outcomes = new Outcomes(async (batch) => this.close(await store.finish(batch)), serial, outage);
    this.heartbeat = new Heartbeat({
      store,
      running,
      outage,
      serial,
      outcomes: this.outcomes,
      lease,
      leases: this.leases,
      recovered: async (groups, count) => {
        metrics.recovered(count);
        this.poke();
        await this.close(groups);
      },
    });
  }

  start(): void {
    this.heartbeat.start();
    this.loop = this.claimAgainAndAgain();
    void this.sweepNowAndThen();
    const { queues } = this.options;
    const what = `${this.size.concurrency} at once${queues ? `, queues ${queues.join(', ')}` : ''}`;
    this.logger.log(`worker ${this.store.worker} runs tasks: ${what}`);
  }

  /** Milliseconds since the loop turned. */
  get stillFor(): number {
    return this.stopping.signal.aborted ? 0 : monotonicMs() - this.turnedAt;
  }

  /** Looks for tasks at once. */
  poke(): void {
    this.wake.abort();
  }

  /** Looks for cancels at once. */
  pokeBeat(): void {
    this.heartbeat.tick();
  }

  /** Takes nothing more, lets handlers finish within the grace, then hands the rest back. */
  async stop(): Promise<void> {
    this.stopping.abort();
    this.poke();
    await within(this.loop, GOODBYE);
    await this.idle(this.options.shutdownGrace);
    for (const [id, run] of this.running) run.abort(new TaskHandedBackError(id));
    await this.idle(LAST_WORDS);
    const left = [...this.running.values()];
    for (const run of left) this.outcomes.add(run.handBack());
    if (left.length > 0) this.logger.warn(`${left.length} handlers ignored their signal; their tasks are handed back`);
    await within(this.outcomes.flushed(), GOODBYE);
    this.heartbeat.stop();
    await this.leases?.stop();
  }

  private async claimAgainAndAgain(): Promise<void> {
    while (!this.stopping.signal.aborted) {
      this.wake = new AbortController();
      this.turnedAt = monotonicMs();
      const more = await this.claimOnce();
      if (!more) await sleep(jitter(this.outage.active ? 1000 : this.options.pollInterval), this.wake.signal);
    }
  }

  /** @returns whether more may be waiting */
  private async claimOnce(): Promise<boolean> {
    let more = false;
    const counts = new Map<string, number>();
    for (const { row } of this.running.values()) counts.set(row.name, (counts.get(row.name) ?? 0) + 1);
    // More may run than are allowed from now on.
    const free = () => Math.max(0, this.size.concurrency - this.running.size);
    try {
      for (const step of planClaims(this.registry.all(), counts, free(), this.turn++)) {
        const limit = Math.min(step.limit, free());
        if (limit <= 0 || this.stopping.signal.aborted) continue;
        const claimedAt = monotonicMs();
        const rows = await this.claim(step.known, limit);
        this.outage.succeeded();
        for (const row of rows) this.begin(new Run(row, this.registry.get(row.name)!, this.effects, claimedAt));
        more ||= rows.length === limit && free() > 0;
      }
    } catch (error) {
      this.outage.failed(error);
    }
    return more;
  }

  /** Queues with a limit of their own come last. */
  private async claim(known: Record<string, number>, limit: number): Promise<ClaimedTask[]> {
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

  private begin(run: Run): void {
    // The claim was under way when the shutdown began.
    if (this.stopping.signal.aborted) return this.outcomes.add(run.handBack());
    this.running.set(run.row.id, run);
    // Before its handler can block the loop.
    this.leases?.hold([...this.running.keys(), ...this.outcomes.ids]);
    this.metrics.began(run);
    void this.follow(run);
  }

  private async follow(run: Run): Promise<void> {
    const { context } = run.row;
    const execute = () => run.execute();
    const outcome = await (context === null ? execute() : requestContext.run(new PackedContext(context), execute));
    this.running.delete(run.row.id);
    this.metrics.ended(run, outcome);
    if (outcome) this.outcomes.add(outcome);
    this.poke();
  }

  private async close(groups: string[]): Promise<void> {
    if (groups.length > 0) await closeGroups(this.sql, groups);
  }

  /** Resolves when no handler runs any more, or after `limit` milliseconds. */
  private async idle(limit: number): Promise<void> {
    const end = monotonicMs() + limit;
    while (this.running.size > 0 && monotonicMs() < end) await sleep(Math.min(20, limit));
  }

  private async sweepNowAndThen(): Promise<void> {
    const { signal } = this.stopping;
    while (!signal.aborted) {
      await sleep(jitter(this.options.sweepEvery), signal);
      if (signal.aborted) return;
      await this.sweep().catch((error: unknown) => this.outage.failed(error));
    }
  }

  private async sweep(): Promise<void> {
    await sweep(this.sql, this.options.keep);
    await sweepEffects(this.sql, this.options.keepEffects);
  }
}

async function within(work: Promise<unknown>, limit: number): Promise<void> {
  const done = new AbortController();
  await Promise.race([work, sleep(limit, done.signal)]);
  done.abort();
}
