import { Inject, Injectable } from '@nestjs/common';
import { OnConfigChange } from '@yuxi/config-sync';
import { Log } from '@yuxi/observability';
import { type Env, ENV } from './env.js';
import type { Settings } from './settings.js';

/** Keeps the level of the log at the live setting; `LOG_LEVEL` of the environment counts until one is set. */
@Injectable()
export class LogLevel {
  constructor(
    @Inject(Log) private readonly log: Log,
    @Inject(ENV) private readonly env: Env,
  ) {}

  @OnConfigChange('general')
  apply({ log_level }: Settings['general']): void {
    this.log.level = log_level ?? this.env.LOG_LEVEL;
  }
}
