import type { Duration } from '@yuxi/core';
import type { TaskRetry } from '@yuxi/tasks';
import type { z } from 'zod';

/**
 * `running`: goes forward. `compensating`: goes back. `done`: all steps took place. `undone`: none did, or was taken back.
 * `stuck`: cannot go on by itself; a person decides by `retry` or `skip`.
 */
export const SAGA_STATUSES = ['running', 'compensating', 'done', 'undone', 'stuck'] as const;
export type SagaStatus = (typeof SAGA_STATUSES)[number];

export type Direction = 'forward' | 'back';

export interface SagaOptions<Schema extends z.ZodType = z.ZodType> {
  /** Unique in the application together with `version`; part of what is stored. */
  name: string;
  /**
   * Raise it when steps change. An instance keeps the version that it began with, and waits for a process that has it: keep the old
   * class beside the new one until `SagaService.list` shows none of its version. Default 1.
   */
  version?: number;
  /** Of the input, checked when an instance is started. */
  schema: Schema;
  /** Time after which an instance that has not passed its pivot goes back. Default: none. */
  deadline?: Duration;
  /** What an instance is about: scope of the tasks that run its steps, where those are rows. Default: none. */
  scope?: (input: z.output<Schema>) => string;
}

export interface SagaStepOptions {
  /** Name of the step, part of what is stored. Default: that of the method. */
  name?: string;
  /** Steps run in ascending order, one after the other. */
  order: number;
  /** Method that takes the step back, or `false` when there is nothing to take back, which must be said. */
  compensate: string | false;
  /** The step after which there is no way back: steps after it are repeated until they succeed. Default `false`. */
  pivot?: boolean;
  /** Longest run of the step or of its compensation. Default: none. */
  timeout?: Duration;
  /** Of a step before the pivot. Default: 3 attempts, 1 s doubled up to 1 min. */
  retry?: TaskRetry;
}

/** What a step is given. */
export interface SagaContext<Input = unknown> {
  readonly saga: string;
  readonly input: Input;
  /** What the steps before returned, by name. */
  readonly results: Readonly<Record<string, unknown>>;
  /** `<saga>:<step>:do` or `<saga>:<step>:undo`: the same for each run of the same effect. */
  readonly idempotencyKey: string;
  /** 1 for the first run that is known of; a run whose process died is not counted. */
  readonly attempt: number;
  /** Aborts on cancel, timeout, deadline, shutdown and loss; `signal.reason` says which. */
  readonly signal: AbortSignal;
}

/** What a compensation is given: it must bear that the effect never took place. */
export interface CompensationContext<Input = unknown, Result = unknown> extends SagaContext<Input> {
  /** The key the step itself was given. */
  readonly effectKey: string;
  /** What the step returned; undefined when nobody knows whether it took place. */
  readonly result: Result | undefined;
  /** Why the saga goes back. */
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

/** One line of what happened. */
export interface JournalEntry {
  event: (typeof JOURNAL_EVENTS)[number];
  /** Null for what concerns the saga as a whole. */
  step: string | null;
  direction: Direction;
  /** Of the step, 1 for the first run. */
  attempt: number;
  detail?: string;
}

/** An instance as it is stored. */
export interface SagaState {
  id: string;
  name: string;
  version: number;
  /** Business key. */
  key: string | null;
  status: SagaStatus;
  direction: Direction;
  /** Place of the step that is next or under way, in the order of steps. */
  step: number;
  /** Place after which there is no way back; the number of steps when there is always one. */
  pivot: number;
  /** Failed runs of this step in this direction. */
  failures: number;
  /** Raised by each change: whoever knows an older one has nothing to say any more. */
  epoch: number;
  input: unknown;
  results: Record<string, unknown>;
  error: string | null;
  cancelRequested: boolean;
  /** Milliseconds that are left of the deadline, which may be below 0; null when there is none. */
  timeLeft: number | null;
  /** Id of the task that runs the step. */
  task: string | null;
  createdAt: Date;
  updatedAt: Date;
}

/** An instance as people see it. */
export interface SagaView extends Pick<
  SagaState,
  'id' | 'name' | 'version' | 'key' | 'status' | 'direction' | 'failures' | 'error'
> {
  /** Name of the step that is next or under way; null when the saga has ended or its definition is not known here. */
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
  /** Id of the last one of the page before. */
  before?: string;
}
