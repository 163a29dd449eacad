import { Inject, Injectable } from '@nestjs/common';
import { OptionsError, type SqlClient } from '@yuxi/core';
import {
  type DeadLetter,
  type DeadLetterChoice,
  type DeadLetterQuery,
  discard,
  readDeadLetters,
  replay,
} from './store/dead-letters.js';
import { closeGroups } from './store/groups.js';
import { drainQueue, pauseQueue, type QueueView, readQueues, resumeQueue } from './store/queues.js';
import { WakeUp } from './worker/wake-up.js';
import { TASKS_SQL } from './tasks.tokens.js';

/** Queues as operators see and steer them. Whatever is changed here holds for the workers of all processes. */
@Injectable()
export class TaskQueues {
  constructor(
    @Inject(TASKS_SQL) private readonly sql: SqlClient,
    private readonly wakeUp: WakeUp,
  ) {}

  /** Every queue that has tasks or is paused. */
  list(): Promise<QueueView[]> {
    return readQueues(this.sql);
  }

  /** No worker takes tasks of the queue from now on; what runs goes on. @param by who, shown to other operators */
  async pause(queue: string, by = 'unknown'): Promise<void> {
    await pauseQueue(this.sql, named(queue), by);
  }

  /** @returns whether it was paused */
  async resume(queue: string): Promise<boolean> {
    const resumed = await resumeQueue(this.sql, named(queue));
    this.wakeUp.poke();
    return resumed;
  }

  /** Cancels everything that waits in the queue, also for later. @returns how many tasks */
  async drain(queue: string): Promise<number> {
    const { count, groups } = await drainQueue(this.sql, named(queue));
    if (groups.length > 0) await closeGroups(this.sql, groups);
    return count;
  }

  /** Tasks that failed for good, newest first. */
  async deadLetters(query: DeadLetterQuery = {}): Promise<DeadLetter[]> {
    const { limit = 50 } = query;
    if (!Number.isInteger(limit) || limit < 1 || limit > 100)
      throw new OptionsError('limit', 'an integer 1..100', limit, 'TaskQueues.deadLetters');
    return readDeadLetters(this.sql, { ...query, limit });
  }

  /**
   * Runs failed tasks again, with all their attempts; a group whose member runs again is open again. One whose dedupe key
   * another task holds by now stays failed.
   * @returns how many tasks
   */
  async replay(choice: DeadLetterChoice): Promise<number> {
    const count = await replay(this.sql, choice);
    this.wakeUp.poke();
    return count;
  }

  /** Removes failed tasks; members of a group stay with it. @returns how many tasks */
  discard(choice: DeadLetterChoice): Promise<number> {
    return discard(this.sql, choice);
  }
}

function named(queue: string): string {
  if (typeof queue !== 'string' || queue.length < 1 || queue.length > 100)
    throw new OptionsError('queue', '1..100 characters', queue, 'TaskQueues');
  return queue;
}
