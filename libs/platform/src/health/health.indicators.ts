import { Inject, Injectable } from '@nestjs/common';
import { type HealthIndicatorResult, HealthIndicatorService } from '@nestjs/terminus';
import { SQL_CLIENT, type SqlClient } from '@yuxi/core';
import { HealthRegistry, type HealthResult } from '@yuxi/observability';
import { RedisAvailability, redisHealth } from '@yuxi/redis';
import { STORAGE_SPACE, storageHealth, StorageInfo, type StorageSpace } from '@yuxi/storage';

/** Longest run of a probe. A longer one counts as `down`. Milliseconds. */
const LIMIT_MS = 1000;
/** How long a result is reused, so that frequent requests do not run the probes more often. Milliseconds. */
const CACHE_MS = 1000;

/** The data of an attempt. They cannot use `status`: terminus sets it to `up` or `down` for the attempt itself. */
type Probed = { health: HealthResult['status']; state?: string };

/** The registered probes as indicators of `@nestjs/terminus`. */
@Injectable()
export class HealthIndicators {
  constructor(
    @Inject(HealthRegistry) private readonly registry: HealthRegistry,
    @Inject(HealthIndicatorService) private readonly indicators: HealthIndicatorService,
  ) {}

  /** For `HealthCheckService.check`. */
  all(): (() => Promise<HealthIndicatorResult>)[] {
    return this.registry.names.map((name) => () => this.#indicate(name));
  }

  async #indicate(name: string): Promise<HealthIndicatorResult> {
    const session = this.indicators.check(name);
    const attempt = session.attempt(() => this.#ask(name)).withTimeout(LIMIT_MS);
    const { [name]: outcome } = await attempt.cacheFor(CACHE_MS);
    // A failed probe still has a result. Only the time limit makes an attempt fail.
    if (outcome?.status !== 'up') return session.down({ state: `no answer within ${LIMIT_MS} ms` });
    const { health, state } = outcome as unknown as Probed;
    const data: Record<string, unknown> = state === undefined ? {} : { state };
    if (health === 'up') return session.up(data);
    return health === 'degraded' ? session.degraded(data) : session.down(data);
  }

  async #ask(name: string): Promise<Probed> {
    const { status, state } = await this.registry.ask(name);
    return { health: status, state };
  }
}

/** The probes of readiness. Without the database the process is down; without disk space, Redis or vectors it is degraded. */
@Injectable()
export class HealthProbes {
  constructor(
    @Inject(HealthRegistry) health: HealthRegistry,
    @Inject(RedisAvailability) availability: RedisAvailability,
    @Inject(SQL_CLIENT) sql: SqlClient,
    @Inject(StorageInfo) storage: StorageInfo,
    @Inject(STORAGE_SPACE) space: StorageSpace,
  ) {
    health.register('redis', () => redisHealth(availability));
    // The message of the driver may contain addresses and accounts, so it is not shown.
    health.register('storage', async () => {
      if ((await storageHealth(sql)).status !== 'up') return UNAVAILABLE;
      return space.full ? FULL : UP;
    });
    health.register('vectors', () => vectorHealth(storage));
  }
}

const UP: HealthResult = { status: 'up' };
const FULL: HealthResult = { status: 'degraded', state: 'disk_full' };
const UNAVAILABLE: HealthResult = { status: 'down', state: 'the database does not answer' };

function vectorHealth({ vector, version }: StorageInfo): HealthResult {
  // Without a first connection, it is unknown whether the database has the extension.
  if (vector || version === '') return { status: 'up' };
  return { status: 'degraded', state: 'the database lacks the extension pgvector: search is by keyword only' };
}
