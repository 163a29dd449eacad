import type { Duration } from '@yuxi/core';
import type { TaskRetry } from '@yuxi/tasks';
import type { z } from 'zod';

/**
 * - `running`: runs its steps.
 * - `compensating`: runs the compensations, in reverse order.
 * - `done`: all steps succeeded.
 * - `undone`: compensated, so that no effect remains.
 * - `stuck`: needs a decision of an operator, by `retry` or `skip`.
 */
export const SAGA_STATUSES = ['running', 'compensating', 'done', 'undone', 'stuck'] as const;
export type SagaStatus = (typeof SAGA_STATUSES)[number];

export type Direction = 'forward' | 'back';

export interface SagaOptions<Schema extends z.ZodType = z.ZodType> {
  /** Unique in the application together with `version`. It is stored. */
  name: string;
  /**
   * Raise it when steps change. An instance keeps its version and waits for a process that has it. So keep the old class beside the new
   * one until `SagaService.list` shows no open instance of the old version. Default 1.
   */
  version?: number;
  /** Schema of the input, checked when an instance is started. */
  schema: Schema;
  /** Time after which an instance is compensated if it has not reached its pivot. Default: none. */
  deadline?: Duration;
  /** Scope of the tasks that run the steps of an instance, where tasks are rows. Default: none. */
  scope?: (input: z.output<Schema>) => string;
}

export interface SagaStepOptions {
  /** Name of the step. It is stored. Default: the name of the method. */
  name?: string;
  /** Steps run in ascending order, one after the other. */
  order: number;
  /** Name of the method that compensates the step, or `false` when no compensation is needed. Required. */
  compensate: string | false;
  /** The step after which the saga is never compensated: the steps after it are retried until they succeed. Default `false`. */
  pivot?: boolean;
  /** Longest run of the step or of its compensation. Default: none. */
  timeout?: Duration;
  /** For a step before the pivot. Default: 3 attempts with pauses of 1 s, doubled up to 1 min. */
  retry?: TaskRetry;
}

/** The argument of a step. */
export interface SagaContext<Input = unknown> {
  readonly saga: string;
  readonly input: Input;
  /** The results of the previous steps, by name. */
  readonly results: Readonly<Record<string, unknown>>;
  /** `<saga>:<step>:do` or `<saga>:<step>:undo`. Each run of one effect has the same key. */
  readonly idempotencyKey: string;
  /** 1 for the first run. A run whose process died is not counted. */
  readonly attempt: number;
  /** Aborts on cancel, timeout, deadline, shutdown and loss of the task. `signal.reason` is the cause. */
  readonly signal: AbortSignal;
}

/** The argument of a compensation. A compensation must also work when the effect never happened. */
export interface CompensationContext<Input = unknown, Result = unknown> extends SagaContext<Input> {
  /** The idempotency key of the step itself. */
  readonly effectKey: string;
  /** The result of the step. Undefined when it is unknown whether the step succeeded. */
  readonly result: Result | undefined;
  /** Why the saga is compensated. */
  readonly reason: string;
}

export const JOURNAL_EVENTS = [
  'intent',
  'done',
  'failed',
  'rejected',
  'turned',
  'skipped',
  'cancel',
  'stuck',
  'resumed',
  'ended',
] as const;

/** One entry of the journal. */
export interface JournalEntry {
  event: (typeof JOURNAL_EVENTS)[number];
  /** Null for an event of the whole saga. */
  step: string | null;
  direction: Direction;
  /** Number of the run, 1 for the first. */
  attempt: number;
  detail?: string;
}

/** A stored instance. */
export interface SagaState {
  id: string;
  name: string;
  version: number;
  /** Business key. */
  key: string | null;
  status: SagaStatus;
  direction: Direction;
  /** Position of the present or next step. */
  step: number;
  /** Position of the pivot, or the number of steps when there is no pivot. */
  pivot: number;
  /** Failed runs of this step in this direction. */
  failures: number;
  /** Raised by each change. A process with an older epoch cannot change the instance. */
  epoch: number;
  input: unknown;
  results: Record<string, unknown>;
  error: string | null;
  cancelRequested: boolean;
  /** Milliseconds until the deadline, below 0 after it. Null without a deadline. */
  timeLeft: number | null;
  /** Id of the task that runs the step. */
  task: string | null;
  createdAt: Date;
  updatedAt: Date;
}

/** An instance as the API shows it. */
export interface SagaView extends Pick<
  SagaState,
  'id' | 'name' | 'version' | 'key' | 'status' | 'direction' | 'failures' | 'error'
> {
  /** Name of the present or next step. Null when the saga has ended, or this process has no definition of it. */
  step: string | null;
  cancel_requested: boolean;
  created_at: Date;
  updated_at: Date;
}

export interface TimelineEntry extends JournalEntry {
  at: Date;
}

export interface SagaDetails extends SagaView {
  input: unknown;
  results: Record<string, unknown>;
  timeline: TimelineEntry[];
}

export interface SagaQuery {
  status?: SagaStatus;
  name?: string;
  /** 1..100, default 50. */
  limit?: number;
  /** Id of the last instance on the previous page. */
  before?: string;
}
