import { Injectable } from '@nestjs/common';
import { OptionsError } from '@yuxi/core';
import { QueueEngines } from './queue-engines.js';
import type { QueueOperator } from './queue-operator.js';
import type { DeadLetter, DeadLetterChoice, DeadLetterQuery } from './store/dead-letters.js';
import { mergeQueues, type QueueView } from './store/queues.js';
import { WakeUp } from './worker/wake-up.js';

/**
 * Queues as operators see and steer them, whichever engine their tasks have. Whatever is changed here holds for the workers of all
 * processes.
 */
@Injectable()
export class TaskQueues {
  constructor(
    private readonly engines: QueueEngines,
    private readonly wakeUp: WakeUp,
  ) {}

  /** Every queue that has tasks or is paused. */
  async list(): Promise<QueueView[]> {
    return mergeQueues((await this.#all((engine) => engine.list())).flat());
  }

  /** No worker takes tasks of the queue from now on; what runs goes on. @param by who, shown to other operators */
  async pause(queue: string, by = 'unknown'): Promise<void> {
    named(queue);
    await this.#all((engine) => engine.pause(queue, by || 'unknown'));
  }

  /** @returns whether it was paused */
  async resume(queue: string): Promise<boolean> {
    named(queue);
    const resumed = await this.#all((engine) => engine.resume(queue));
    this.wakeUp.poke();
    return resumed.includes(true);
  }

  /** Cancels everything that waits in the queue, also for later. @returns how many tasks */
  async drain(queue: string): Promise<number> {
    named(queue);
    return sum(await this.#all((engine) => engine.drain(queue)));
  }

  /** Tasks that failed for good, newest first. */
  async deadLetters(query: DeadLetterQuery = {}): Promise<DeadLetter[]> {
    const { limit = 50, before } = query;
    if (!Number.isInteger(limit) || limit < 1 || limit > 100)
      throw new OptionsError('limit', 'an integer 1..100', limit, 'TaskQueues.deadLetters');
    const places = before === undefined ? [] : await this.#all((engine) => engine.placeOf(before));
    const place = places.find((each) => each !== undefined);
    // The one that was seen last is gone: nobody knows what came after it.
    if (before !== undefined && !place) return [];
    const letters = (await this.#all((engine) => engine.deadLetters({ ...query, limit }, place))).flat();
    return letters
      .toSorted((a, b) => b.failed_at.getTime() - a.failed_at.getTime() || (a.id < b.id ? 1 : -1))
      .slice(0, limit);
  }

  /**
   * Runs failed tasks again, with all their attempts; a group whose member runs again is open again. One whose dedupe key
   * another task holds by now stays failed.
   * @returns how many tasks
   * @throws {OptionsError} for a choice of nothing, which would be all tasks, and for an unknown key
   */
  async replay(choice: DeadLetterChoice): Promise<number> {
    chosen(choice, 'TaskQueues.replay');
    const count = sum(await this.#all((engine) => engine.replay(choice)));
    this.wakeUp.poke();
    return count;
  }

  /**
   * Removes failed tasks; members of a group stay with it.
   * @returns how many tasks
   * @throws {OptionsError} as `replay`
   */
  async discard(choice: DeadLetterChoice): Promise<number> {
    chosen(choice, 'TaskQueues.discard');
    return sum(await this.#all((engine) => engine.discard(choice)));
  }

  #all<T>(action: (engine: QueueOperator) => Promise<T>): Promise<T[]> {
    return Promise.all(this.engines.all.map(action));
  }
}

const sum = (counts: readonly number[]) => counts.reduce((all, count) => all + count, 0);

function named(queue: string): void {
  if (typeof queue !== 'string' || queue.length < 1 || queue.length > 100)
    throw new OptionsError('queue', '1..100 characters', queue, 'TaskQueues');
}

const CHOICES = ['id', 'queue', 'name', 'owner'];

function chosen(choice: DeadLetterChoice, where: string): void {
  const given = Object.entries(choice ?? {}).filter(([, value]) => value !== undefined);
  const unknown = given.find(([key, value]) => !CHOICES.includes(key) || typeof value !== 'string' || value === '');
  if (given.length === 0 || unknown)
    throw new OptionsError('choice', `at least one of ${CHOICES.join(', ')}, each a text`, choice, where);
}
