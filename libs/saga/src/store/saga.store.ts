import type { SqlClient } from '@yuxi/core';
import type { TaskEngineName } from '@yuxi/tasks';
import type { SagaChange } from '../run/transitions.js';
import type { SagaQuery, SagaState, SagaStatus, TimelineEntry } from '../saga.types.js';

export interface NewSaga {
  id: string;
  name: string;
  version: number;
  key: string | null;
  /** JSON text. */
  input: string;
  pivot: number;
  /** Milliseconds from now. */
  deadline?: number;
}

/** The task that runs the step of a change. */
export interface StepTask {
  /** Name of the task. */
  name: string;
  /** For display. */
  title: string;
  /** Scope of the task. */
  scope?: string;
}

export interface SagaCount {
  name: string;
  version: number;
  status: SagaStatus;
  count: number;
}

/** An open instance without a task that runs its step. */
export interface Orphan {
  state: SagaState;
  /** Why its task is a dead letter. Undefined when the task is missing. */
  reason?: string;
  /** Called after the instance was changed. */
  settle: () => Promise<void>;
}

/**
 * Stores instances. Each change is one transaction or one script. It contains the compare-and-set of the epoch, the journal entries and the
 * task of the next step. None of them exists without the others.
 */
export interface SagaStore {
  /** Engine of the tasks that run steps. */
  readonly engine: TaskEngineName;
  /** @param tx a transaction of the caller, if the store has transactions @returns the instance that has the key */
  start(saga: NewSaga, change: SagaChange, task: StepTask, tx?: SqlClient): Promise<{ id: string; started: boolean }>;
  load(id: string): Promise<SagaState | undefined>;
  /** @returns whether the change was written; false when the instance has changed since `state` was read */
  advance(state: Pick<SagaState, 'id' | 'epoch'>, change: SagaChange, task?: StepTask): Promise<boolean>;
  /** Stores the request, if the instance runs forward and is before its pivot. @returns whether it was stored */
  requestCancel(id: string): Promise<boolean>;
  /** @returns those of `ids` with a cancel request */
  cancelled(ids: readonly string[]): Promise<string[]>;
  /** Newest first. */
  list(query: Required<Pick<SagaQuery, 'limit'>> & SagaQuery): Promise<SagaState[]>;
  timeline(id: string): Promise<TimelineEntry[]>;
  /** At most 100. */
  orphans(): Promise<Orphan[]>;
  counts(): Promise<SagaCount[]>;
  /** Removes instances that ended more than `keep` milliseconds ago, at most 1,000. @returns how many */
  sweep(keep: number): Promise<number>;
}

/** Injection token of the {@link SagaStore}. */
export const SAGA_STORE = Symbol('SAGA_STORE');
