import { Inject, Injectable, type BeforeApplicationShutdown, type OnApplicationBootstrap } from '@nestjs/common';
import { Sweeper } from '../sweep/sweeper.js';
import { AUDIT_OPTIONS, checkAuditOptions, type AuditOptions } from './audit.options.js';
import { AuditStore } from './audit.store.js';

/** Removes events that are older than the retention. */
@Injectable()
export class AuditSweep implements OnApplicationBootstrap, BeforeApplicationShutdown {
  readonly sweeper: Sweeper;

  constructor(@Inject(AUDIT_OPTIONS) options: AuditOptions, store: AuditStore) {
    const { retentionMs, sweepEveryMs } = checkAuditOptions(options);
    this.sweeper = new Sweeper('old audit events', sweepEveryMs, (portion) => store.removeOld(retentionMs, portion));
  }

  onApplicationBootstrap(): void {
    this.sweeper.start();
  }

  beforeApplicationShutdown(): void {
    this.sweeper.stop();
  }
}
