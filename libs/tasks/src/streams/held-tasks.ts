import { requestContext } from '@yuxi/observability';
import type { Once } from '../once.js';
import type { TaskMetrics } from '../task.metrics.js';
import type { RegisteredTask, TaskRegistry } from '../task.registry.js';
import { Run } from '../worker/run.js';
import type { Outcome } from '../worker/worker.store.js';
import type { Acks, ClaimedEntry, DedupeRelease, EntryRef, OtherAck } from './membership.js';
import { type OpenedEnvelope, readEnvelope, writeEnvelope } from './stream-tasks.js';

/** Most acknowledgements in one step. */
const PER_STEP = 1000;

/** How a run ended. Undefined: the task belongs to another worker, and nothing is acknowledged. */
export type RunOutcome = Pick<Outcome, 'status' | 'error' | 'delay' | 'counted'> | undefined;

export const keyOf = ({ stream, entry }: EntryRef): string => `${stream}:${entry}`;

/** A task that this worker has claimed and not yet acknowledged. */
export class HeldTask {
  readonly at: EntryRef;
  readonly task: OpenedEnvelope;
  /** A process crashed while it held this task. Only other suspects may run beside it. */
  readonly suspect: boolean;
  run?: Run;
  readonly #envelope: string;

  /** @throws {SyntaxError} {@link TypeError} for an entry that cannot be read */
  constructor({ at, begun, envelope }: ClaimedEntry) {
    this.at = at;
    this.suspect = begun > 1;
    this.#envelope = envelope;
    this.task = readEnvelope(envelope);
  }

  get key(): string {
    return keyOf(this.at);
  }

  begin(handler: RegisteredTask, effects: Once): Run {
    const { id, name, payload, attempt, owner = null } = this.task;
    const row = {
      id,
      name,
      payload,
      run: 1,
      attempt,
      max_attempts: handler.attempts,
      group_id: null,
      owner_id: owner,
      context: null,
    };
    this.run = new Run(row, handler, effects);
    return this.run;
  }

  acknowledge(acks: AckBuffer, outcome: RunOutcome): void {
    if (!outcome) return;
    const { at, task } = this;
    const { status, error = '', delay, counted = true } = outcome;
    if (status === 'pending') {
      if (delay === undefined) return acks.other({ kind: 'returned', at });
      return acks.other({ kind: 'retry', at, delay, id: task.id, envelope: this.#nextEnvelope(counted) });
    }
    if (task.dedupe !== undefined) acks.release({ key: task.dedupe, id: task.id });
    if (status === 'cancelled') acks.other({ kind: 'cancelled', at, id: task.id });
    else if (status === 'success') acks.succeeded(at);
    else acks.other({ kind: 'dead', at, attempts: task.attempt, reason: error, envelope: this.#envelope });
  }

  /** Made from the text, because a handler may have changed its payload. */
  #nextEnvelope(counted: boolean): string {
    const { payload, attempt, ...rest } = readEnvelope(this.#envelope);
    return writeEnvelope({ ...rest, payload: JSON.stringify(payload), attempt: counted ? attempt + 1 : attempt });
  }
}

export interface SlotsParts {
  registry: TaskRegistry;
  metrics: TaskMetrics;
  /** Of {@link TaskContext.once}. */
  effects: Once;
  /** How many tasks may run. */
  size: () => number;
  /** @param ms that the handler took */
  ended: (held: HeldTask, outcome: RunOutcome, ms: number) => void;
}

/** The tasks of a worker that run, and those that wait for a slot. */
export class Slots {
  readonly #running = new Set<HeldTask>();
  readonly #byName = new Map<string, number>();
  #waiting: HeldTask[] = [];

  constructor(private readonly parts: SlotsParts) {}

  get running(): number {
    return this.#running.size;
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  get size(): number {
    return this.parts.size();
  }

  /** Slots that no held task needs. Negative after the size was reduced below the number of running tasks. */
  get free(): number {
    return this.size - this.running - this.waiting;
  }

  /** The task begins with the next {@link begin} that finds a slot for it. */
  add(held: HeldTask): void {
    this.#waiting.push(held);
  }

  /** @returns whether the task was waiting; it is removed then */
  withdraw(held: HeldTask): boolean {
    const at = this.#waiting.indexOf(held);
    if (at >= 0) this.#waiting.splice(at, 1);
    return at >= 0;
  }

  /** @returns all tasks that were waiting; they are removed */
  withdrawAll(): HeldTask[] {
    return this.#waiting.splice(0);
  }

  abort(reason: (id: string) => Error): void {
    for (const { run, task } of this.#running) run?.abort(reason(task.id));
  }

  begin(): void {
    const later: HeldTask[] = [];
    for (const held of this.#waiting) {
      const handler = this.parts.registry.get(held.task.name)!;
      const running = this.#byName.get(handler.name) ?? 0;
      if (this.running >= this.size || running >= (handler.concurrency ?? Number.POSITIVE_INFINITY)) {
        later.push(held);
        continue;
      }
      this.#byName.set(handler.name, running + 1);
      this.#running.add(held);
      void this.#run(held, handler);
    }
    this.#waiting = later;
  }

  async #run(held: HeldTask, handler: RegisteredTask): Promise<void> {
    const { metrics, effects, ended } = this.parts;
    const run = held.begin(handler, effects);
    metrics.began(run);
    const { context } = held.task;
    const outcome = await (context ? requestContext.run(context, () => run.execute()) : run.execute());
    this.#running.delete(held);
    this.#byName.set(handler.name, this.#byName.get(handler.name)! - 1);
    ended(held, outcome, metrics.ended(run, outcome));
    if (this.#waiting.length > 0) this.begin();
  }
}

/** Acknowledgements that the queue has not confirmed. */
export class AckBuffer {
  #acks: Acks = { succeeded: [], others: [], releases: [] };

  get size(): number {
    return this.#acks.succeeded.length + this.#acks.others.length;
  }

  succeeded(at: EntryRef): void {
    this.#acks.succeeded.push(at);
  }

  other(ack: OtherAck): void {
    this.#acks.others.push(ack);
  }

  release(release: DedupeRelease): void {
    this.#acks.releases.push(release);
  }

  /** Removes the acknowledgements for one step. */
  take(): Acks {
    const { succeeded, others, releases } = this.#acks;
    if (this.size <= PER_STEP) {
      this.clear();
      return { succeeded, others, releases };
    }
    const first = { succeeded: succeeded.splice(0, PER_STEP), others: [] as OtherAck[], releases: releases.splice(0) };
    first.others = others.splice(0, PER_STEP - first.succeeded.length);
    return first;
  }

  /** Returns acknowledgements whose step failed to the front. A second acknowledgement of the same task changes nothing. */
  putBack({ succeeded, others, releases }: Acks): void {
    const later = this.#acks;
    this.#acks = {
      succeeded: [...succeeded, ...later.succeeded],
      others: [...others, ...later.others],
      releases: [...releases, ...later.releases],
    };
  }

  clear(): void {
    this.#acks = { succeeded: [], others: [], releases: [] };
  }
}
