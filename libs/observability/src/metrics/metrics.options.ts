import { ConfigurableModuleBuilder } from '@nestjs/common';
import { OptionsError } from '@yuxi/core';

export interface MetricsOptions {
  /** Port of `GET /metrics`, 0 for any free one. Default: not served. */
  port?: number;
  /** Address to listen on. Default: all, because the scraper is usually another machine. */
  host?: string;
  /** Process metrics (CPU, memory, event loop lag, garbage collection). Default `true`. */
  processMetrics?: boolean;
}

export const { ConfigurableModuleClass, MODULE_OPTIONS_TOKEN, OPTIONS_TYPE, ASYNC_OPTIONS_TYPE } =
  new ConfigurableModuleBuilder<MetricsOptions>({ moduleName: 'YuxiMetrics' })
    .setClassMethodName('forRoot')
    .setExtras({ isGlobal: true }, (definition, extras) => ({ ...definition, global: extras.isGlobal }))
    .build();

/** @throws {OptionsError} for a port that is no port. */
export function checkPort(port: number): number {
  if (!Number.isInteger(port) || port < 0 || port > 65_535)
    throw new OptionsError('METRICS_PORT', 'an integer 0..65535', port, 'MetricsModule');
  return port;
}
