import type { SqlClient } from '@yuxi/core';
import type { QueueOperator } from '../queue-operator.js';
import {
  type DeadLetterChoice,
  type DeadLetterQuery,
  discard,
  type LetterPlace,
  placeOf,
  readDeadLetters,
  replay,
} from './dead-letters.js';
import { closeGroups } from './groups.js';
import { drainQueue, pauseQueue, readDepths, readQueues, resumeQueue } from './queues.js';

/** Queues of tasks that are rows. */
export class RowQueues implements QueueOperator {
  constructor(private readonly sql: SqlClient) {}

  list() {
    return readQueues(this.sql);
  }

  depths() {
    return readDepths(this.sql);
  }

  pause(queue: string, by: string) {
    return pauseQueue(this.sql, queue, by);
  }

  resume(queue: string) {
    return resumeQueue(this.sql, queue);
  }

  async drain(queue: string) {
    const { count, groups } = await drainQueue(this.sql, queue);
    if (groups.length > 0) await closeGroups(this.sql, groups);
    return count;
  }

  placeOf(id: string) {
    return placeOf(this.sql, id);
  }

  deadLetters(query: DeadLetterQuery, before?: LetterPlace) {
    return readDeadLetters(this.sql, query, before);
  }

  replay(choice: DeadLetterChoice) {
    return replay(this.sql, choice);
  }

  discard(choice: DeadLetterChoice) {
    return discard(this.sql, choice);
  }
}
