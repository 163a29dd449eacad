import { type Duration, OptionsError, toMs } from '@yuxi/core';
import type { TaskRetry } from '@yuxi/tasks';
import { type RetryPolicy, retryPolicyOf } from './definition/saga.definition.js';

export const SAGA_STORES = ['postgres', 'redis'] as const;

export interface SagaModuleOptions {
  /** Where instances are stored. Default: `postgres` when `SQL_CLIENT` is bound, else `redis`. */
  store?: (typeof SAGA_STORES)[number];
  /**
   * Attempts of compensations, and of steps from the pivot on, before the instance is `stuck`. Default: 20 attempts with pauses of 1 s,
   * doubled up to 5 min. That is about an hour.
   */
  persistence?: TaskRetry;
  /** How long an ended instance and its business key are kept. Default 30 d. */
  keep?: Duration;
  /** Pause between searches for instances without a task, and for old instances. Default 10 s. */
  lookEvery?: Duration;
}

export interface ResolvedSagaOptions {
  store?: (typeof SAGA_STORES)[number];
  persistence: RetryPolicy;
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
  const retry = { attempts: 20, backoff: '1s', maxBackoff: '5m', ...persistence };
  return {
    store,
    persistence: retryPolicyOf(retry, `${where}: persistence`),
    keep: toMs('keep', keep ?? '30d', { max: 10 * YEAR, where }),
    lookEvery: toMs('lookEvery', lookEvery ?? '10s', { min: 50, where }),
  };
}
