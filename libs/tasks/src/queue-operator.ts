/** State of a queue. */
export interface QueueView {
  queue: string;
  /** No worker begins a task of the queue. Running tasks continue. */
  paused: boolean;
  paused_by: string | null;
  /** Due and not running. */
  waiting: number;
  /** Not due yet. */
  delayed: number;
  running: number;
  /** Failed permanently, and neither replayed nor discarded. */
  dead: number;
  /** Time since the task that waits longest was due, seconds; null when none waits. */
  oldest_waiting_seconds: number | null;
  /** Ended in the last minute, with any result. */
  finished_last_minute: number;
  /** Workers that run a task of the queue now. */
  workers: number;
}

/** Part of a {@link QueueView}. */
export type QueueDepth = Pick<QueueView, 'queue' | 'waiting'>;

/** A task that failed permanently. */
export interface DeadLetter {
  id: string;
  name: string;
  queue: string;
  title: string;
  version: number;
  payload: unknown;
  error: string | null;
  /** Runs that counted. */
  attempts: number;
  owner: string | null;
  group_id: string | null;
  created_at: Date;
  failed_at: Date;
}

export interface DeadLetterQuery {
  queue?: string;
  /** Task name. */
  name?: string;
  /** Id of the last dead letter of the previous page. */
  before?: string;
  /** 1..100, default 50. */
  limit?: number;
}

/** Which dead letters: one by its id, or all that match. */
export interface DeadLetterChoice {
  id?: string;
  queue?: string;
  name?: string;
  owner?: string;
}

/** A position in the order of dead letters, which is newest first. */
export interface DeadLetterCursor {
  at: Date;
  id: string;
}

/** Operations on the queues of one engine. */
export interface QueueOperator {
  list(): Promise<QueueView[]>;
  /** Tasks that are due and not running, by queue. Queues without such a task may be missing. */
  depths(): Promise<QueueDepth[]>;
  pause(queue: string, by: string): Promise<void>;
  /** @returns whether the queue was paused */
  resume(queue: string): Promise<boolean>;
  /** @returns how many tasks were cancelled */
  drain(queue: string): Promise<number>;
  /** Position of a dead letter, if this engine has it. */
  cursorOf(id: string): Promise<DeadLetterCursor | undefined>;
  /** Newest first. @param before only dead letters after this position */
  deadLetters(query: DeadLetterQuery, before?: DeadLetterCursor): Promise<DeadLetter[]>;
  /** @returns how many tasks wait again */
  replay(choice: DeadLetterChoice): Promise<number>;
  /** @returns how many dead letters were removed */
  discard(choice: DeadLetterChoice): Promise<number>;
}
