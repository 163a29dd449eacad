import { ConfigurableModuleBuilder } from '@nestjs/common';
import { toMs, type Duration } from '@yuxi/core';

const YEAR = 365 * 86_400_000;

export interface AuditOptions {
  /** How long events are kept. Default 180 days, 1 hour .. 100 years. */
  retention?: Duration;
  /** How often old events are looked for. Default 10 min. */
  sweepEvery?: Duration;
}

export const { ConfigurableModuleClass, MODULE_OPTIONS_TOKEN: AUDIT_OPTIONS } =
  new ConfigurableModuleBuilder<AuditOptions>({ moduleName: 'Audit' })
    .setClassMethodName('forRoot')
    .setExtras({}, (definition) => ({ ...definition, global: true }))
    .build();

/** @throws {OptionsError} */
export function checkAuditOptions({ retention = '180d', sweepEvery = '10m' }: AuditOptions) {
  const where = 'AuditModule';
  return {
    retentionMs: toMs('retention', retention, { min: 3_600_000, max: 100 * YEAR, where }),
    sweepEveryMs: toMs('sweepEvery', sweepEvery, { min: 1000, where }),
  };
}
