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

/** The task that runs the step of a change; given when the change asks for one. */
export interface StepTask {
  /** Name of the task. */
  name: string;
  /** What people see. */
  title: string;
  /** What the instance is about. */
  scope?: string;
}

export interface SagaCount {
  name: string;
  version: number;
  status: SagaStatus;
  count: number;
}

/** An open instance whose step nobody will run. */
export interface Orphan {
  state: SagaState;
  /** Why its task is a dead letter; undefined when it is just not there. */
  reason?: string;
  /** To be called when the instance was seen to. */
  settle: () => Promise<void>;
}

/**
 * Where instances live. Each change is one transaction or one script with the compare-and-set of the epoch, the journal and the
 * task of the next step in it, so that none of them can be there without the others.
 */
export interface SagaStore {
  /** Engine of the tasks that run steps. */
  readonly engine: TaskEngineName;
  /** @param tx of the caller, where the store has transactions @returns the instance that holds the key */
  start(saga: NewSaga, change: SagaChange, task: StepTask, tx?: SqlClient): Promise<{ id: string; started: boolean }>;
  load(id: string): Promise<SagaState | undefined>;
  /** @returns whether it was written; false when the instance has changed since `state` was read */
  advance(state: Pick<SagaState, 'id' | 'epoch'>, change: SagaChange, task?: StepTask): Promise<boolean>;
  /** Notes the wish, as long as the instance goes forward and is before its pivot. @returns whether it was noted */
  requestCancel(id: string): Promise<boolean>;
  /** @returns those of `ids` that somebody wants to be cancelled */
  cancelled(ids: readonly string[]): Promise<string[]>;
  /** Newest first. */
  list(query: Required<Pick<SagaQuery, 'limit'>> & SagaQuery): Promise<SagaState[]>;
  timeline(id: string): Promise<TimelineEntry[]>;
  /** At most 100. */
  orphans(): Promise<Orphan[]>;
  counts(): Promise<SagaCount[]>;
  /** Removes what ended longer than `keep` milliseconds ago, at most 1,000. @returns how many */
  sweep(keep: number): Promise<number>;
}

/** Injection token of the {@link SagaStore}. */
export const SAGA_STORE = Symbol('SAGA_STORE');
