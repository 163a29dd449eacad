import type { Direction } from '../saga.types.js';

/**
 * Where a fault test can stop a step. The intent of a step is written together with the outcome of the one before, so that
 * `before-intent` of a step follows `after-effect` of that one.
 */
export const SAGA_POINTS = ['before-intent', 'after-intent', 'after-effect', 'after-outcome'] as const;
export type SagaPoint = (typeof SAGA_POINTS)[number];

/** What fault tests reach into; nothing of it is active in production. */
export interface SagaHooks {
  /** Awaited at each point. */
  at(point: SagaPoint, step: string, direction: Direction): Promise<void>;
}

/** Injection token of the {@link SagaHooks}. */
export const SAGA_HOOKS = Symbol('SAGA_HOOKS');

export const NO_HOOKS: SagaHooks = { at: () => Promise.resolve() };
