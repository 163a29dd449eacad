import type { DeadLetter, DeadLetterChoice, DeadLetterQuery, LetterPlace } from './store/dead-letters.js';
import type { QueueDepth, QueueView } from './store/queues.js';

/** What operators can do with the queues of one engine. */
export interface QueueOperator {
  list(): Promise<QueueView[]>;
  /** Tasks that are due and not running, by queue; queues without one may be missing. */
  depths(): Promise<QueueDepth[]>;
  pause(queue: string, by: string): Promise<void>;
  /** @returns whether it was paused */
  resume(queue: string): Promise<boolean>;
  /** @returns how many tasks were cancelled */
  drain(queue: string): Promise<number>;
  /** Where a dead letter stands, if this engine has it. */
  placeOf(id: string): Promise<LetterPlace | undefined>;
  /** Newest first. @param before only those that come after this place */
  deadLetters(query: DeadLetterQuery, before?: LetterPlace): Promise<DeadLetter[]>;
  /** @returns how many wait again */
  replay(choice: DeadLetterChoice): Promise<number>;
  /** @returns how many are gone */
  discard(choice: DeadLetterChoice): Promise<number>;
}
