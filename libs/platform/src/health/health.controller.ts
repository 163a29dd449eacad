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
import { PUBLIC, UNLIMITED } from '../public.js';
import { HealthIndicators } from './health.indicators.js';

interface Reply {
  status(code: number): unknown;
}

/** Answers with the report of the check, as terminus makes it, not with an error of the application. */
@Catch(ServiceUnavailableException)
class HealthFilter extends BaseExceptionFilter {}

/**
 * Probes for Kubernetes. Liveness looks at nothing but this process, so that a shared dependency that is away
 * never makes every replica restart; readiness says whether this replica can serve: degraded still serves.
 * Names and states only: no versions, addresses or error texts.
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
    // Terminus says so too, but only when the tasks of this process have been handed back.
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
