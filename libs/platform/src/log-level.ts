import { Inject, Injectable } from '@nestjs/common';
import type { ConfigType } from '@nestjs/config';
import { OnConfigChange } from '@yuxi/config-sync';
import { Log } from '@yuxi/observability';
import { logConfig } from './config/namespaces.js';
import type { Settings } from './settings.js';

/** Keeps the level of the log at the live setting; `LOG_LEVEL` of the environment counts until one is set. */
@Injectable()
export class LogLevel {
  constructor(
    @Inject(Log) private readonly log: Log,
    @Inject(logConfig.KEY) private readonly config: ConfigType<typeof logConfig>,
  ) {}

  @OnConfigChange('general')
  apply({ log_level }: Settings['general']): void {
    this.log.level = log_level ?? this.config.level;
  }
}
