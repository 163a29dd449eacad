import { requestContext } from '@yuxi/observability';
import type { Once } from '../effects/once.js';
import type { TaskMetrics } from '../task.metrics.js';
import type { RegisteredTask, TaskRegistry } from '../task.registry.js';
import type { HeldTask } from './held-task.js';

export type RunOutcome = Parameters<HeldTask['end']>[1];

export interface PlacesParts {
  registry: TaskRegistry;
  metrics: TaskMetrics;
  /** Of {@link TaskContext.once}. */
  effects: Once;
  /** How many tasks may run. */
  size: () => number;
  /** @param ms that the handler took */
  ended: (held: HeldTask, outcome: RunOutcome, ms: number) => void;
}

/** The tasks of a worker that run, and those that wait for a place. */
export class Places {
  readonly #running = new Set<HeldTask>();
  readonly #byName = new Map<string, number>();
  #waiting: HeldTask[] = [];

  constructor(private readonly parts: PlacesParts) {}

  get running(): number {
    return this.#running.size;
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  get size(): number {
    return this.parts.size();
  }

  /** Nobody needs one of them now; below zero when more run than may from now on. */
  get free(): number {
    return this.size - this.running - this.waiting;
  }

  /** It begins with the next {@link begin} that has a place for it. */
  add(held: HeldTask): void {
    this.#waiting.push(held);
  }

  /** @returns whether it waited, and does no more */
  withdraw(held: HeldTask): boolean {
    const at = this.#waiting.indexOf(held);
    if (at >= 0) this.#waiting.splice(at, 1);
    return at >= 0;
  }

  /** @returns all that waited */
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
