import { ConfigurableModuleBuilder, Inject, Injectable, Module } from '@nestjs/common';
import { toMs, type Duration } from '@yuxi/core';
import { Sweeper } from '../sweeper.js';
import { AuditLog } from './audit.log.js';
import { AuditStore } from './audit.store.js';
import { Origin } from './origin.js';

const WHERE = 'AuditModule';
const CENTURY = 100 * 365 * 86_400_000;

export interface AuditOptions {
  /** How long events are kept. Default 180 days, 1 hour .. 100 years. */
  retention?: Duration;
  /** Pause between two sweeps for old events. Default 10 min. */
  sweepEvery?: Duration;
}

const { ConfigurableModuleClass, MODULE_OPTIONS_TOKEN } = new ConfigurableModuleBuilder<AuditOptions>({
  moduleName: 'Audit',
})
  .setClassMethodName('forRoot')
  .setExtras({}, (definition) => ({ ...definition, global: true }))
  .build();

/** Removes events that are older than the retention. */
@Injectable()
export class AuditSweeper extends Sweeper {
  /** @throws {OptionsError} */
  constructor(
    @Inject(MODULE_OPTIONS_TOKEN) { retention = '180d', sweepEvery = '10m' }: AuditOptions,
    store: AuditStore,
  ) {
    const keepMs = toMs('retention', retention, { min: 3_600_000, max: CENTURY, where: WHERE });
    const everyMs = toMs('sweepEvery', sweepEvery, { min: 1000, where: WHERE });
    super('old audit events', everyMs, (portion) => store.removeOld(keepMs, portion));
  }
}

/** Gives the whole application its {@link AuditLog}. Needs StorageModule and LimiterModule. */
@Module({
  providers: [AuditStore, AuditLog, AuditSweeper, Origin],
  exports: [AuditStore, AuditLog, Origin],
})
export class AuditModule extends ConfigurableModuleClass {}
