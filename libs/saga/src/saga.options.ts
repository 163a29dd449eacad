import { OptionsError, toMs, type Duration } from '@yuxi/core';
import type { TaskRetry } from '@yuxi/tasks';
import { type Patience, patienceOf } from './definition/saga.definition.js';

export const SAGA_STORES = ['postgres', 'redis'] as const;

export interface SagaModuleOptions {
  /** Where instances live. Default: `postgres` when `SQL_CLIENT` is bound, else `redis`. */
  store?: (typeof SAGA_STORES)[number];
  /**
   * How long compensations, and steps from the pivot on, are repeated before the instance is `stuck`. Default: 20 attempts, 1 s
   * doubled up to 5 min, which is about an hour.
   */
  persistence?: TaskRetry;
  /** How long instances stay that are done or undone, and their business keys with them. Default 30 d. */
  keep?: Duration;
  /** How often a process looks for instances without a task, and for old ones. Default 10 s. */
  lookEvery?: Duration;
}

export interface ResolvedSagaOptions {
  store?: (typeof SAGA_STORES)[number];
  persistence: Patience;
  /** Milliseconds. */
  keep: number;
  /** Milliseconds. */
  lookEvery: number;
}

/** Injection token of the {@link SagaModuleOptions}. */
export const SAGA_OPTIONS = Symbol('SAGA_OPTIONS');

const YEAR = 365 * 86_400_000;

/** @throws {OptionsError} naming the option that breaks its rule */
export function resolveSagaOptions({ store, persistence, keep, lookEvery }: SagaModuleOptions): ResolvedSagaOptions {
  const where = 'SagaModule';
  if (store !== undefined && !SAGA_STORES.includes(store))
    throw new OptionsError('store', SAGA_STORES.join(' or '), store, where);
  const patience = { attempts: 20, backoff: '1s', maxBackoff: '5m', ...persistence };
  return {
    store,
    persistence: patienceOf(patience, `${where}: persistence`),
    keep: toMs('keep', keep ?? '30d', { max: 10 * YEAR, where }),
    lookEvery: toMs('lookEvery', lookEvery ?? '10s', { min: 50, where }),
  };
}
