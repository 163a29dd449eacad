import type { Once } from '../effects/once.js';
import type { RegisteredTask } from '../task.registry.js';
import { Run } from '../worker/run.js';
import type { Outcome } from '../worker/worker.store.js';
import { openEnvelope, type OpenedEnvelope, sealEnvelope } from './envelope.js';
import type { Outbox } from './outbox.js';
import type { GivenTask, Place } from './step.wire.js';

/** A task that the queue has given to this worker. */
export class HeldTask {
  readonly at: Place;
  readonly task: OpenedEnvelope;
  /** Met a crash: it runs with none but its like beside it. */
  readonly suspect: boolean;
  run?: Run;
  readonly #envelope: string;

  constructor({ at, begun, envelope }: GivenTask) {
    this.at = at;
    this.suspect = begun > 1;
    this.#envelope = envelope;
    this.task = openEnvelope(envelope);
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

  /** Tells the queue how it ended. @param outcome undefined: it is no longer ours */
  end(outbox: Outbox, outcome: Pick<Outcome, 'status' | 'error' | 'delay' | 'counted'> | undefined): void {
    if (!outcome) return;
    const { at, task } = this;
    const { status, error = '', delay, counted = true } = outcome;
    if (status === 'pending') {
      if (delay === undefined) return outbox.otherwise({ kind: 'back', at });
      return outbox.otherwise({ kind: 'again', at, delay, id: task.id, envelope: this.#next(counted) });
    }
    if (task.dedupe !== undefined) outbox.release({ key: task.dedupe, id: task.id });
    if (status === 'cancelled') outbox.otherwise({ kind: 'cancelled', at, id: task.id });
    else if (status === 'success') outbox.well(at);
    else outbox.otherwise({ kind: 'dead', at, attempts: task.attempt, reason: error, envelope: this.#envelope });
  }

  /** From the text, because a handler may have changed its payload. */
  #next(counted: boolean): string {
    const { payload, attempt, ...rest } = openEnvelope(this.#envelope);
    return sealEnvelope({ ...rest, payload: JSON.stringify(payload), attempt: counted ? attempt + 1 : attempt });
  }
}

export const keyOf = ({ stream, entry }: Place): string => `${stream}:${entry}`;
