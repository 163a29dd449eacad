import type { RetryPolicy, SagaDefinition, StepDefinition } from '../definition/saga.definition.js';
import type { Direction, JournalEntry, SagaState, SagaStatus } from '../saga.types.js';

/** A change of an instance. The store writes it together with the task of the next step, or writes nothing. */
export interface SagaChange {
  status: SagaStatus;
  direction: Direction;
  step: number;
  failures: number;
  error: string | null;
  /** The result of a step. */
  result?: { step: string; value: unknown };
  journal: JournalEntry[];
  /** Milliseconds until the step of this change runs. Undefined: no step runs after it. */
  runIn?: number;
}

type Position = Pick<SagaState, 'direction' | 'step' | 'failures' | 'error' | 'pivot'>;

/** The stored and served status of a saga whose effects were all compensated. */
const COMPENSATED = 'undone';

/** Whether an instance is done or compensated. */
export function hasEnded(status: SagaStatus): boolean {
  return status === 'done' || status === COMPENSATED;
}

/** The start of an instance. */
export function begun({ steps }: SagaDefinition): SagaChange {
  const at = { direction: 'forward', step: 0, failures: 0, error: null } as const;
  return { ...at, status: 'running', journal: [intent(steps[0]!, 'forward', 1)], runIn: 0 };
}

/** The step, or its compensation, succeeded. @param event `skipped` when an operator decided that it counts as succeeded */
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
 * A run failed.
 * @param decisive whether another run would have the same result
 * @param persistence the policy for compensations, and for steps from the pivot on
 */
export function failed(
  definition: SagaDefinition,
  state: Position,
  reason: string,
  decisive: boolean,
  persistence: RetryPolicy,
): SagaChange {
  const { direction, step } = state;
  const at = definition.steps[step]!;
  const failures = state.failures + 1;
  const policy = mustSucceed(state) ? persistence : at.retry;
  const event = decisive ? 'rejected' : 'failed';
  const journal: JournalEntry[] = [{ event, step: at.name, direction, attempt: failures, detail: reason }];
  const error = direction === 'back' ? state.error : reason;
  if (!decisive && failures < policy.attempts)
    return {
      status: statusOf(direction),
      direction,
      step,
      failures,
      error,
      runIn: policy.backoff(failures),
      journal: [...journal, intent(at, direction, failures + 1)],
    };
  // A pivot that failed may have had its effect, so the saga is not compensated. A pivot that rejected had none.
  const mayGoBack = direction === 'forward' && (step < state.pivot || (step === state.pivot && decisive));
  if (mayGoBack) return turned(definition, state, reason, journal);
  return { status: 'stuck', direction, step, failures, error, journal: [...journal, stuckEntry(at, state, reason)] };
}

/** Compensation starts with the present step, because its effect may have happened. */
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

/** An operator must decide. */
export function stuck(definition: SagaDefinition | undefined, state: Position, reason: string): SagaChange {
  const { direction, step, failures } = state;
  const error = state.error ?? reason;
  const journal = [stuckEntry(definition?.steps[step], state, reason)];
  return { status: 'stuck', direction, step, failures, error, journal };
}

/** The same step with all its attempts. @param detail why */
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

/** Whether the persistence policy applies: to a compensation, and to a step from the pivot on. */
function mustSucceed({ direction, step, pivot }: Position): boolean {
  return direction === 'back' || step >= pivot;
}

/** Goes to the nearest step at or before `from` that has a compensation. */
function back({ steps }: SagaDefinition, from: number, error: string | null, journal: JournalEntry[]): SagaChange {
  const step = steps.findLastIndex(({ compensate }, position) => position <= from && compensate);
  const rest = { direction: 'back', failures: 0, error } as const;
  const at = steps[step];
  if (!at) return { ...rest, status: COMPENSATED, step: 0, journal: [...journal, ended('back')] };
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
