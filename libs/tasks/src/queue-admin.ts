import { Injectable } from '@nestjs/common';
import { integerOption, OptionsError } from '@yuxi/core';
import { QueueEngines } from './queue-engines.js';
import type { DeadLetter, DeadLetterChoice, DeadLetterQuery, QueueOperator, QueueView } from './queue-operator.js';
import { WakeUp } from './worker/wake-up.js';

/** Shows and controls the queues of both engines, for operators. A change applies to the workers of all processes. */
@Injectable()
export class QueueAdmin {
  constructor(
    private readonly engines: QueueEngines,
    private readonly wakeUp: WakeUp,
  ) {}

  /** Every queue that has tasks or is paused. */
  async list(): Promise<QueueView[]> {
    return mergeQueues((await this.#all((engine) => engine.list())).flat());
  }

  /** No worker begins a task of the queue until it is resumed. Running tasks continue. @param by shown to other operators */
  async pause(queue: string, by = 'unknown'): Promise<void> {
    checkName(queue);
    await this.#all((engine) => engine.pause(queue, by || 'unknown'));
  }

  /** @returns whether the queue was paused */
  async resume(queue: string): Promise<boolean> {
    checkName(queue);
    const resumed = await this.#all((engine) => engine.resume(queue));
    this.wakeUp.notify();
    return resumed.includes(true);
  }

  /** Cancels all waiting tasks of the queue, also those that are not due. @returns how many tasks */
  async drain(queue: string): Promise<number> {
    checkName(queue);
    return sum(await this.#all((engine) => engine.drain(queue)));
  }

  /** Tasks that failed permanently, newest first. */
  async deadLetters(query: DeadLetterQuery = {}): Promise<DeadLetter[]> {
    const { limit = 50, before } = query;
    integerOption('limit', limit, { max: 100, where: 'QueueAdmin.deadLetters' });
    const cursors = before === undefined ? [] : await this.#all((engine) => engine.cursorOf(before));
    const cursor = cursors.find((each) => each !== undefined);
    // The last letter of the previous page was removed, so that the next page cannot be determined.
    if (before !== undefined && !cursor) return [];
    const letters = (await this.#all((engine) => engine.deadLetters({ ...query, limit }, cursor))).flat();
    return letters
      .toSorted((a, b) => b.failed_at.getTime() - a.failed_at.getTime() || (a.id < b.id ? 1 : -1))
      .slice(0, limit);
  }

  /**
   * Runs failed tasks again, with all their attempts. The group of such a task is open again. A task whose dedupe key is held by
   * another task stays failed.
   * @returns how many tasks
   * @throws {OptionsError} for an empty choice, which would match all tasks, and for an unknown key
   */
  async replay(choice: DeadLetterChoice): Promise<number> {
    checkChoice(choice, 'QueueAdmin.replay');
    const count = sum(await this.#all((engine) => engine.replay(choice)));
    this.wakeUp.notify();
    return count;
  }

  /**
   * Removes failed tasks. Members of a group stay in it.
   * @returns how many tasks
   * @throws {OptionsError} as {@link replay}
   */
  async discard(choice: DeadLetterChoice): Promise<number> {
    checkChoice(choice, 'QueueAdmin.discard');
    return sum(await this.#all((engine) => engine.discard(choice)));
  }

  #all<T>(action: (engine: QueueOperator) => Promise<T>): Promise<T[]> {
    return Promise.all(this.engines.all.map(action));
  }
}

const sum = (counts: readonly number[]) => counts.reduce((all, count) => all + count, 0);

function checkName(queue: string): void {
  if (typeof queue !== 'string' || queue.length < 1 || queue.length > 100)
    throw new OptionsError('queue', '1..100 characters', queue, 'QueueAdmin');
}

const CHOICES = ['id', 'queue', 'name', 'owner'];

function checkChoice(choice: DeadLetterChoice, where: string): void {
  const given = Object.entries(choice ?? {}).filter(([, value]) => value !== undefined);
  const unknown = given.find(([key, value]) => !CHOICES.includes(key) || typeof value !== 'string' || value === '');
  if (given.length === 0 || unknown)
    throw new OptionsError('choice', `at least one of ${CHOICES.join(', ')}, each a text`, choice, where);
}

/** One view for each name: a queue may hold tasks of both engines. */
function mergeQueues(views: readonly QueueView[]): QueueView[] {
  const merged = new Map<string, QueueView>();
  for (const view of views) {
    const other = merged.get(view.queue);
    merged.set(view.queue, other ? sumOf(other, view) : view);
  }
  return [...merged.values()].toSorted((a, b) => (a.queue < b.queue ? -1 : 1));
}

function sumOf(a: QueueView, b: QueueView): QueueView {
  const ages = [a, b].flatMap(({ oldest_waiting_seconds: age }) => age ?? []);
  return {
    queue: a.queue,
    paused: a.paused || b.paused,
    paused_by: a.paused_by ?? b.paused_by,
    waiting: a.waiting + b.waiting,
    delayed: a.delayed + b.delayed,
    running: a.running + b.running,
    dead: a.dead + b.dead,
    oldest_waiting_seconds: ages.length > 0 ? Math.max(...ages) : null,
    finished_last_minute: a.finished_last_minute + b.finished_last_minute,
    workers: a.workers + b.workers,
  };
}
