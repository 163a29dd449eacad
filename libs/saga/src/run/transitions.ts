import type { Patience, SagaDefinition, StepDefinition } from '../definition/saga.definition.js';
import type { Direction, JournalEntry, SagaState, SagaStatus } from '../saga.types.js';

/** What becomes of an instance. The store writes all of it, and the next step's task with it, or nothing. */
export interface SagaChange {
  status: SagaStatus;
  direction: Direction;
  step: number;
  failures: number;
  error: string | null;
  /** What a step returned. */
  result?: { step: string; value: unknown };
  journal: JournalEntry[];
  /** Milliseconds until the step of this change is run; undefined: nothing is run any more. */
  runIn?: number;
}

type Position = Pick<SagaState, 'direction' | 'step' | 'failures' | 'error' | 'pivot'>;

/** Where an instance begins. */
export function begun({ steps }: SagaDefinition): SagaChange {
  const at = { direction: 'forward', step: 0, failures: 0, error: null } as const;
  return { ...at, status: 'running', journal: [intent(steps[0]!, 'forward', 1)], runIn: 0 };
}

/** The step, or its compensation, has taken place. @param event `skipped` when somebody decided that it counts as such */
export function succeeded(
  definition: SagaDefinition,
  state: Position,
  value: unknown,
  event: 'done' | 'skipped' = 'done',
): SagaChange {
  const { direction, step, failures } = state;
  const { name } = definition.steps[step]!;
  const journal: JournalEntry[] = [{ event, step: name, direction, attempt: failures + 1 }];
  if (direction === 'back') return back(definition, step - 1, state.error, journal);
  const result = { step: name, value };
  const next = definition.steps[step + 1];
  if (next)
    return {
      status: 'running',
      direction,
      step: step + 1,
      failures: 0,
      error: null,
      result,
      runIn: 0,
      journal: [...journal, intent(next, direction, 1)],
    };
  return { status: 'done', direction, step, failures: 0, error: null, result, journal: [...journal, ended(direction)] };
}

/**
 * A run has failed.
 * @param decisive whether a further run would change nothing
 * @param patience with what must succeed in the end: compensations, and steps from the pivot on
 */
export function failed(
  definition: SagaDefinition,
  state: Position,
  reason: string,
  decisive: boolean,
  patience: Patience,
): SagaChange {
  const { direction, step } = state;
  const at = definition.steps[step]!;
  const failures = state.failures + 1;
  const allowed = mustSucceed(state) ? patience : at.patience;
  const event = decisive ? 'rejected' : 'failed';
  const journal: JournalEntry[] = [{ event, step: at.name, direction, attempt: failures, detail: reason }];
  const error = direction === 'back' ? state.error : reason;
  if (!decisive && failures < allowed.attempts)
    return {
      status: statusOf(direction),
      direction,
      step,
      failures,
      error,
      runIn: allowed.backoff(failures),
      journal: [...journal, intent(at, direction, failures + 1)],
    };
  // Nobody knows whether a pivot that kept failing took place; one that says no did not.
  const mayTurn = direction === 'forward' && (step < state.pivot || (step === state.pivot && decisive));
  if (mayTurn) return turned(definition, state, reason, journal);
  return { status: 'stuck', direction, step, failures, error, journal: [...journal, stuckEntry(at, state, reason)] };
}

/** The way back begins, with the step that was under way: it may have taken place. */
export function turned(
  definition: SagaDefinition,
  { step, failures }: Position,
  reason: string,
  before: JournalEntry[] = [],
): SagaChange {
  const { name } = definition.steps[step]!;
  const entry: JournalEntry = { event: 'turned', step: name, direction: 'back', attempt: failures + 1, detail: reason };
  return back(definition, step, reason, [...before, entry]);
}

/** It cannot go on by itself. */
export function stuck(definition: SagaDefinition | undefined, state: Position, reason: string): SagaChange {
  const { direction, step, failures } = state;
  const error = state.error ?? reason;
  const journal = [stuckEntry(definition?.steps[step], state, reason)];
  return { status: 'stuck', direction, step, failures, error, journal };
}

/** The same step from the beginning. @param detail who or what asked for it */
export function resumed(definition: SagaDefinition, { direction, step, error }: Position, detail: string): SagaChange {
  const at = definition.steps[step]!;
  const entry: JournalEntry = { event: 'resumed', step: at.name, direction, attempt: 1, detail };
  return {
    status: statusOf(direction),
    direction,
    step,
    failures: 0,
    error,
    runIn: 0,
    journal: [entry, intent(at, direction, 1)],
  };
}

/** Whether the step under way is repeated until it succeeds. */
function mustSucceed({ direction, step, pivot }: Position): boolean {
  return direction === 'back' || step >= pivot;
}

/** To the nearest step from `from` downwards that has something to take back. */
function back({ steps }: SagaDefinition, from: number, error: string | null, journal: JournalEntry[]): SagaChange {
  const step = steps.findLastIndex(({ undo }, place) => place <= from && undo);
  const rest = { direction: 'back', failures: 0, error } as const;
  const at = steps[step];
  if (!at) return { ...rest, status: 'undone', step: 0, journal: [...journal, ended('back')] };
  return { ...rest, status: 'compensating', step, runIn: 0, journal: [...journal, intent(at, 'back', 1)] };
}

function statusOf(direction: Direction): SagaStatus {
  return direction === 'forward' ? 'running' : 'compensating';
}

function intent({ name }: StepDefinition, direction: Direction, attempt: number): JournalEntry {
  return { event: 'intent', step: name, direction, attempt };
}

function ended(direction: Direction): JournalEntry {
  return { event: 'ended', step: null, direction, attempt: 0 };
}

function stuckEntry(step: StepDefinition | undefined, { direction, failures }: Position, detail: string): JournalEntry {
  return { event: 'stuck', step: step?.name ?? null, direction, attempt: failures, detail };
}
