import { integerOption, jitter, OptionsError, toMs } from '@yuxi/core';
import { payloadParser, type TaskRetry } from '@yuxi/tasks';
import type { CompensationContext, SagaContext, SagaOptions, SagaStepOptions } from '../saga.types.js';

/** How often a step is tried, and the pauses between the attempts. */
export interface RetryPolicy {
  attempts: number;
  /** Pause after that many failures, milliseconds. */
  backoff(failures: number): number;
}

export interface StepDefinition {
  name: string;
  pivot: boolean;
  /** Milliseconds. */
  timeout?: number;
  retry: RetryPolicy;
  run(context: SagaContext): unknown;
  /** Undefined: the step needs no compensation. */
  compensate?: (context: CompensationContext) => unknown;
}

export interface SagaDefinition {
  name: string;
  version: number;
  /** Checks an input. @throws {PayloadError} */
  parse(input: unknown): unknown;
  /** Milliseconds. */
  deadline?: number;
  /** Scope of the tasks of an instance with this input. */
  scope?: (input: never) => string;
  steps: readonly StepDefinition[];
  /** Position of the pivot, or the number of steps when there is no pivot. */
  pivot: number;
}

/** A method with the decorator. */
export interface StepMethod {
  method: string;
  options: SagaStepOptions;
}

type Methods = Record<string, ((context: never) => unknown) | undefined>;

const NAME = /^[\w.-]{1,60}$/;
const YEAR = 365 * 86_400_000;

/**
 * @param instance the object that has the methods
 * @throws {OptionsError} naming the option, the rule and the location
 */
export function defineSaga(
  options: SagaOptions,
  methods: readonly StepMethod[],
  instance: object,
  where: string,
): SagaDefinition {
  const { name, version = 1, schema, deadline, scope } = options;
  if (typeof name !== 'string' || !NAME.test(name))
    throw new OptionsError('name', '1..60 letters, digits or _ . -', name, where);
  integerOption('version', version, { max: 1_000_000, where });
  if (typeof (schema as { safeParse?: unknown } | undefined)?.safeParse !== 'function')
    throw new OptionsError('schema', 'a zod schema', schema, where);
  if (scope !== undefined && typeof scope !== 'function')
    throw new OptionsError('scope', 'a function of the input', scope, where);
  if (methods.length === 0 || methods.length > 100)
    throw new OptionsError('steps', '1..100 methods with @SagaStep', methods.length, where);
  const sorted = methods.toSorted((a, b) => a.options.order - b.options.order);
  const steps = sorted.map((step) => defineStep(step, instance as Methods, `${where}.${step.method}`));
  checkOrder(sorted, where);
  checkNames(steps, where);
  return {
    name,
    version,
    parse: payloadParser(`saga ${name}`, schema),
    deadline: deadline === undefined ? undefined : toMs('deadline', deadline, { max: YEAR, where }),
    scope,
    steps,
    pivot: pivotOf(sorted, steps, where),
  };
}

function defineStep({ method, options }: StepMethod, methods: Methods, where: string): StepDefinition {
  const { name = method, order, compensate, pivot = false, timeout, retry = {} } = options;
  if (!NAME.test(name)) throw new OptionsError('name', '1..60 letters, digits or _ . -', name, where);
  if (!Number.isFinite(order)) throw new OptionsError('order', 'a number', order, where);
  if (compensate !== false && typeof methods[compensate] !== 'function')
    throw new OptionsError(
      'compensate',
      'the name of a method, or false when the step needs no compensation',
      compensate,
      where,
    );
  return {
    name,
    pivot,
    timeout: timeout === undefined ? undefined : toMs('timeout', timeout, { where }),
    retry: retryPolicyOf({ attempts: 3, backoff: '1s', maxBackoff: '1m', ...retry }, `${where}: retry`),
    run: (context) => methods[method]!(context as never),
    compensate: compensate === false ? undefined : (context) => methods[compensate]!(context as never),
  };
}

/** @throws {OptionsError} */
export function retryPolicyOf({ attempts, backoff, maxBackoff }: Required<TaskRetry>, where: string): RetryPolicy {
  integerOption('attempts', attempts, { max: 1_000_000, where });
  const first = toMs('backoff', backoff, { min: 0, where });
  const longest = toMs('maxBackoff', maxBackoff, { min: 0, where });
  return { attempts, backoff: (failures) => jitter(Math.min(first * 2 ** (failures - 1), longest)) };
}

function checkOrder(sorted: readonly StepMethod[], where: string): void {
  const twice = sorted.find((step, i) => i > 0 && step.options.order === sorted[i - 1]!.options.order);
  if (twice)
    throw new OptionsError('order', 'different for each step', twice.options.order, `${where}.${twice.method}`);
}

function checkNames(steps: readonly StepDefinition[], where: string): void {
  const names = steps.map(({ name }) => name);
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  if (twice !== undefined) throw new OptionsError('name', 'different for each step', twice, where);
}

/** The pivot and the steps after it are never compensated. */
function pivotOf(sorted: readonly StepMethod[], steps: readonly StepDefinition[], where: string): number {
  const position = steps.findIndex(({ pivot }) => pivot);
  if (position < 0) return steps.length;
  sorted.slice(position).forEach(({ method, options }, i) => {
    const at = `${where}.${method}`;
    if (i > 0 && options.pivot) throw new OptionsError('pivot', 'true for one step at most', true, at);
    if (options.compensate !== false)
      throw new OptionsError('compensate', 'false from the pivot on', options.compensate, at);
  });
  return position;
}
