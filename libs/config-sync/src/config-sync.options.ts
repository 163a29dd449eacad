import { hostname } from 'node:os';
import { ConfigurableModuleBuilder } from '@nestjs/common';
import { type Duration, OptionsError, toMs } from '@yuxi/core';
import type { z } from 'zod';

export type ConfigSections = Record<string, z.ZodObject>;

/** The values of a set of sections: `ConfigOf<typeof sections>`. */
export type ConfigOf<S extends ConfigSections> = { [Name in keyof S]: z.output<S[Name]> };

export interface ConfigSyncOptions {
  /** Schema of each section; every key needs a default. */
  sections?: ConfigSections;
  /** Configurations of different scopes share the tables and are independent. Default `default`. */
  scope?: string;
  /** Pause between periodic reads of the head, varied by up to 20 %. Default 2 s, at least 100 ms. */
  reconcileEvery?: Duration;
  /** Longest read of the head. A longer one counts as failed. Default 5 s. */
  readTimeout?: Duration;
  /** Longest run of one `@OnConfigChange` method. A longer one counts as failed. Default 10 s. */
  handlerTimeout?: Duration;
  /**
   * How long start-up waits for the first read. Then it continues with the last known good configuration, or with none, and retries.
   * Default 2 s.
   */
  startupWait?: Duration;
  /**
   * Name of this replica in the rollout, 1 to 200 characters. Use one that stays the same after a restart, for example the name of the
   * pod. Then a crashed replica is not listed as missing after its restart. Default `<host>:<pid>`.
   */
  replica?: string;
  /** File of the last known good configuration. Default none: then a start without the database has no configuration. */
  lastKnownGood?: string;
}

export interface ResolvedConfigSyncOptions {
  scope: string;
  reconcileEvery: number;
  readTimeout: number;
  handlerTimeout: number;
  startupWait: number;
  replica: string;
  lastKnownGood?: string;
}

export const { ConfigurableModuleClass, MODULE_OPTIONS_TOKEN, OPTIONS_TYPE } =
  new ConfigurableModuleBuilder<ConfigSyncOptions>({ moduleName: 'YuxiConfigSync' })
    .setClassMethodName('forRoot')
    .setExtras({ isGlobal: true }, (definition, extras) => ({ ...definition, global: extras.isGlobal }))
    .build();

export const CONFIG_SYNC_OPTIONS = Symbol.for('@yuxi/config-sync:Options');

/** @throws {OptionsError} naming the option that breaks its rule */
export function resolveOptions(options: ConfigSyncOptions): ResolvedConfigSyncOptions {
  const { scope = 'default', reconcileEvery = '2s', readTimeout = '5s' } = options;
  const { handlerTimeout = '10s', startupWait = '2s', lastKnownGood } = options;
  const { replica = `${hostname()}:${process.pid}` } = options;
  const where = 'ConfigSyncModule';
  if (!/^[\w.-]{1,64}$/.test(scope))
    throw new OptionsError('scope', '1 to 64 letters, digits, dots or dashes', scope, where);
  if (typeof replica !== 'string' || !/^[^\p{C}]{1,200}$/u.test(replica))
    throw new OptionsError('replica', '1 to 200 printable characters', replica, where);
  if (lastKnownGood === '') throw new OptionsError('lastKnownGood', 'the path of a file', lastKnownGood, where);
  return {
    scope,
    reconcileEvery: toMs('reconcileEvery', reconcileEvery, { min: 100, where }),
    readTimeout: toMs('readTimeout', readTimeout, { where }),
    handlerTimeout: toMs('handlerTimeout', handlerTimeout, { where }),
    startupWait: toMs('startupWait', startupWait, { min: 0, where }),
    replica,
    lastKnownGood,
  };
}
