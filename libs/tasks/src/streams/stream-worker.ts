import { Logger } from '@nestjs/common';
import { jitter, monotonicMs, sleep } from '@yuxi/core';
import { type RedisClient, unavailableReason } from '@yuxi/redis';
import type { Once } from '../once.js';
import type { TaskMetrics } from '../task.metrics.js';
import { TaskCancelledError, TaskHandedBackError, TaskLostError } from '../tasks.errors.js';
import { abortGraceMs, flushTimeoutMs } from '../tasks.options.js';
import { AckBuffer, HeldTask, keyOf, type RunOutcome, Slots } from './held-tasks.js';
import { type ClaimedEntry, Membership, type MembershipParts } from './membership.js';
import { Prefetch } from './prefetch.js';
import { WakeList } from './wake-list.js';

/** Pause before a failed step is repeated, milliseconds. */
const RETRY_AFTER = 100;
/** How long a worker waits for its first connection before it logs a warning, milliseconds. */
const FIRST_CONNECTION = 5000;

export interface StreamWorkerParts extends MembershipParts {
  metrics: TaskMetrics;
  effects: Once;
  /** For blocking commands of this worker only. */
  blocking: RedisClient;
  /** How many tasks may run at once. */
  slots: () => number;
  /** Milliseconds. */
  shutdownGrace: number;
}

/**
 * Runs the tasks of one queue. A step is one script: it acknowledges tasks that have ended and claims new ones. One step is under way
 * at a time.
 */
export class StreamWorker {
  readonly #log = new Logger('StreamWorker');
  readonly #held = new Map<string, HeldTask>();
  readonly #acks = new AckBuffer();
  readonly #prefetch = new Prefetch();
  readonly #membership: Membership;
  readonly #steps: StepScheduler;
  readonly #wakeList: WakeList;
  readonly #slots: Slots;
  /** The last step returned fewer tasks than it requested. */
  #idle = false;
  #draining = false;
  #stopping = false;
  #failing = false;
  #lastStepAt = monotonicMs();
  #notBefore = 0;
  #startedAt = 0;

  constructor(private readonly parts: StreamWorkerParts) {
    this.#membership = new Membership(parts, {
      lost: () => this.#lost(),
      cancelsChanged: () => this.#steps.schedule(),
    });
    this.#steps = new StepScheduler({
      due: () => this.#due(),
      step: () => this.#stepOrRetry(),
      idle: () => this.#slots.begin(),
    });
    const { registry, metrics, effects, slots: size } = parts;
    this.#slots = new Slots({
      registry,
      metrics,
      effects,
      size,
      ended: (held, outcome, ms) => {
        this.#prefetch.ran(ms);
        this.#end(held, outcome);
      },
    });
    this.#wakeList = new WakeList(parts.blocking, () => this.notify());
  }

  get queue(): string {
    return this.parts.queue;
  }

  /** Milliseconds since the last step began; 0 while no step is needed, as all slots are taken. */
  get stillFor(): number {
    const needsNoStep = !this.#steps.busy && (this.#stopping || this.#slots.running >= this.#slots.size);
    return needsNoStep ? 0 : monotonicMs() - this.#lastStepAt;
  }

  start(): void {
    this.#startedAt = monotonicMs();
    this.#steps.schedule();
  }

  /** Requests tasks at once. */
  notify(): void {
    this.#idle = false;
    this.#steps.schedule();
  }

  /** Returns tasks that have not begun at once, lets handlers finish within the grace, then hands back the others. */
  async stop(): Promise<void> {
    this.#stopping = true;
    for (const held of this.#slots.withdrawAll()) this.#end(held, { status: 'pending', counted: false });
    this.#steps.schedule();
    await this.#until(() => this.#slots.running === 0, this.parts.shutdownGrace);
    this.#slots.abort((id) => new TaskHandedBackError(id));
    await this.#until(() => this.#slots.running === 0, abortGraceMs);
    await this.#until(() => this.#acks.size === 0 && !this.#steps.busy, flushTimeoutMs.streams);
    if (this.#membership.joined) await this.#membership.leave();
  }

  /** Milliseconds until the next step is due; `Infinity`: not before something changes. */
  #due(): number {
    if (this.#stopping && !this.#membership.joined) return Infinity;
    if (this.#membership.needsStep || this.#wantsTasks()) return 0;
    if (this.#acks.size === 0 && (this.#idle || this.#tasksToRequest() === 0)) return Infinity;
    return this.#stopping ? 0 : this.#prefetch.pause;
  }

  /** A slot is free, no held task waits for it, and the queue may have a task. */
  #wantsTasks(): boolean {
    const { running, waiting, size } = this.#slots;
    return !this.#idle && waiting === 0 && running < size && this.#tasksToRequest() > 0;
  }

  #tasksToRequest(): number {
    if (this.#stopping || this.#draining) return 0;
    // While this worker holds suspects no other task may run beside them.
    if (this.#held.size > 0 && this.#held.values().next().value?.suspect) return 0;
    const { size, free } = this.#slots;
    const ahead = this.#prefetch.ahead(size);
    const most = Math.max(size, (size + ahead) / 2);
    return Math.max(0, Math.floor(Math.min(free + ahead, most)));
  }

  /** Joins the queue if necessary and executes a step. Never rejects: after a failure the next step waits a moment. */
  async #stepOrRetry(): Promise<void> {
    this.#lastStepAt = monotonicMs();
    const pause = this.#notBefore - monotonicMs();
    if (pause > 0) await sleep(pause);
    try {
      if (!this.#membership.joined) {
        await this.#membership.join();
        this.#idle = false;
      }
      await this.#step();
      if (this.#failing) this.#log.log(`queue ${this.parts.queue}: Redis answers again`);
      this.#failing = false;
    } catch (error) {
      this.#notBefore = monotonicMs() + jitter(RETRY_AFTER);
      // The first connection may take a while, which is no reason for a warning.
      if (unavailableReason(error) === 'connecting' && monotonicMs() - this.#startedAt < FIRST_CONNECTION) return;
      if (!this.#failing)
        this.#log.warn(
          `queue ${this.parts.queue}: Redis is unavailable (${(error as Error).message}); no task is taken until it answers`,
        );
      this.#failing = true;
    }
  }

  async #step(): Promise<void> {
    const acks = this.#acks.take();
    const requested = this.#tasksToRequest();
    const input = {
      ...acks,
      requested,
      slots: Math.max(0, this.#slots.free),
      holds: this.#held.size,
      idle: this.#idle,
      held: () => [...this.#held.values()].map(({ at }) => at),
    };
    const stepped = this.#prefetch.stepping();
    const reply = await this.#membership.step(input).catch((error: unknown) => {
      if (this.#membership.joined) this.#acks.putBack(acks);
      throw error;
    });
    if (reply.state === 'no member') return this.#lost();
    if (reply.state !== 'ok') return this.#acks.putBack(acks);
    stepped(reply.tasks.length >= requested);
    this.#draining = reply.drain && this.#held.size > 0;
    if (reply.cancels) for (const each of this.#held.values()) this.#abortIfCancelled(each);
    for (const entry of reply.tasks) this.#receive(entry);
    this.#idle = reply.tasks.length < requested;
    if (this.#idle) this.#wakeList.wait(`${this.#membership.key}:k:${this.#membership.id}`, reply.due);
  }

  #receive(claimed: ClaimedEntry): void {
    if (this.#held.has(keyOf(claimed.at))) return;
    let held: HeldTask;
    try {
      held = new HeldTask(claimed);
    } catch {
      const { at, envelope } = claimed;
      return this.#acks.other({ kind: 'dead', at, attempts: 0, reason: 'it cannot be read', envelope });
    }
    this.#held.set(held.key, held);
    const { name, version } = held.task;
    const handler = this.parts.registry.get(name);
    if (this.#stopping) return this.#end(held, { status: 'pending', counted: false });
    if (!handler || handler.version < version) {
      this.#held.delete(held.key);
      return this.#acks.other({ kind: 'unknown', at: held.at, name, version });
    }
    this.#slots.add(held);
    this.#abortIfCancelled(held);
  }

  #abortIfCancelled(held: HeldTask): void {
    if (!this.#membership.isCancelled(held.task.id)) return;
    if (held.run) return held.run.abort(new TaskCancelledError(held.task.id));
    if (this.#slots.withdraw(held)) this.#end(held, { status: 'cancelled' });
  }

  #end(held: HeldTask, outcome: RunOutcome): void {
    // After a lost membership another run of the same entry may be held here.
    if (this.#held.get(held.key) === held) {
      this.#held.delete(held.key);
      held.acknowledge(this.#acks, outcome);
    }
    if (this.#held.size === 0) this.#draining = false;
    this.#steps.schedule();
  }

  /** The queue has given the tasks of this worker to others. */
  #lost(): void {
    if (!this.#membership.joined) return;
    this.#log.warn(
      `worker ${this.#membership.id} lost its lease on queue ${this.parts.queue}: other workers run its tasks again`,
    );
    this.#membership.forget();
    this.#slots.abort((id) => new TaskLostError(id, 'the queue gave it to another worker'));
    this.#slots.withdrawAll();
    this.#held.clear();
    this.#acks.clear();
    this.#draining = this.#idle = false;
    this.#steps.schedule();
  }

  async #until(done: () => boolean, limit: number): Promise<void> {
    const end = monotonicMs() + limit;
    while (!done() && monotonicMs() < end) await sleep(Math.min(5, limit));
  }
}

interface SchedulerParts {
  /** Milliseconds until a step is due, 0 for now; `Infinity`: not before the next {@link StepScheduler.schedule}. */
  due: () => number;
  /** Must not reject. */
  step: () => Promise<void>;
  /** Called after a step, as soon as no further step is due or the next one was sent. */
  idle: () => void;
}

/** Executes steps when they are due, one at a time. */
class StepScheduler {
  #scheduled = false;
  #busy = false;
  #timerSet = false;

  constructor(private readonly parts: SchedulerParts) {}

  get busy(): boolean {
    return this.#busy;
  }

  /** Checks soon whether a step is due. */
  schedule(): void {
    if (this.#scheduled || this.#busy) return;
    this.#scheduled = true;
    // Tasks that end in one turn of the event loop share a step.
    setImmediate(() => {
      this.#scheduled = false;
      if (this.#isDue()) void this.#execute();
    });
  }

  async #execute(): Promise<void> {
    const { step, idle } = this.parts;
    this.#busy = true;
    await step();
    this.#busy = false;
    if (!this.#isDue()) return idle();
    // The next step is sent before the tasks of this one begin.
    this.schedule();
    setImmediate(idle);
  }

  #isDue(): boolean {
    const ms = this.parts.due();
    if (ms > 0 && ms < Infinity) this.#scheduleIn(ms);
    return ms <= 0;
  }

  #scheduleIn(ms: number): void {
    if (this.#timerSet) return;
    this.#timerSet = true;
    setTimeout(() => {
      this.#timerSet = false;
      this.schedule();
    }, ms);
  }
}
