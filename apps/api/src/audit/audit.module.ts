import { Module } from '@nestjs/common';
import { AuditLog } from './audit.log.js';
import { ConfigurableModuleClass } from './audit.options.js';
import { AuditStore } from './audit.store.js';
import { AuditSweep } from './audit.sweep.js';
import { Origin } from './origin.js';

/** Gives the whole application its {@link AuditLog}. Needs StorageModule and LimiterModule. */
@Module({
  providers: [AuditStore, AuditLog, AuditSweep, Origin],
  exports: [AuditStore, AuditLog, Origin],
})
export class AuditModule extends ConfigurableModuleClass {}
