import {
  Catch,
  Controller,
  Get,
  Inject,
  Res,
  ServiceUnavailableException,
  SetMetadata,
  UseFilters,
} from '@nestjs/common';
import { BaseExceptionFilter } from '@nestjs/core';
import { type HealthCheckResult, HealthCheckService, HealthIndicatorService } from '@nestjs/terminus';
import { HealthRegistry } from '@yuxi/observability';
import { HealthIndicators } from './health.indicators.js';

/** Metadata of routes without authentication. The guard of the API reads it; a worker has no guard. */
export const PUBLIC = 'yuxi:public';
/** Metadata of routes that the general request limit does not count: probes, and connections that stay open. */
export const UNLIMITED = 'yuxi:unlimited';

interface Reply {
  status(code: number): unknown;
}

/** Answers with the report of terminus instead of an error of the application. */
@Catch(ServiceUnavailableException)
class HealthFilter extends BaseExceptionFilter {}

/**
 * Probes for Kubernetes. Liveness checks only this process, so that an outage of a shared dependency does not restart all replicas.
 * Readiness shows whether this replica can serve; a degraded one can. Answers hold names and states, but no versions, addresses or error
 * texts.
 */
@SetMetadata(PUBLIC, true)
@SetMetadata(UNLIMITED, true)
@UseFilters(HealthFilter)
@Controller('health')
export class HealthController {
  constructor(
    @Inject(HealthRegistry) private readonly registry: HealthRegistry,
    @Inject(HealthCheckService) private readonly health: HealthCheckService,
    @Inject(HealthIndicatorService) private readonly indicators: HealthIndicatorService,
    @Inject(HealthIndicators) private readonly probes: HealthIndicators,
  ) {}

  @Get('live')
  live(@Res({ passthrough: true }) reply: Reply) {
    const alive = this.registry.alive();
    if (!alive) reply.status(503);
    return { status: alive ? 'up' : 'stuck' };
  }

  @Get('ready')
  ready(): Promise<HealthCheckResult> {
    // Terminus would answer this only after the tasks of this process were returned to the queue.
    if (this.registry.shuttingDown)
      throw new ServiceUnavailableException({ status: 'shutting_down', info: {}, error: {}, details: {} });
    return this.health.check([() => this.#boot(), ...this.probes.all()]);
  }

  @Get('startup')
  startup(): Promise<HealthCheckResult> {
    return this.health.check([() => this.#boot()]);
  }

  #boot() {
    const boot = this.indicators.check('boot');
    return this.registry.started ? boot.up() : boot.down({ state: 'starting' });
  }
}
