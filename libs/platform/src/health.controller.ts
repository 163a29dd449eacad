import { Controller, Get, Inject, Res, SetMetadata } from '@nestjs/common';
import { HealthRegistry } from '@yuxi/observability';
import { PUBLIC, UNLIMITED } from './public.js';

interface Reply {
  status(code: number): unknown;
}

/**
 * Probes for Kubernetes. Liveness looks at nothing but this process, so that a shared dependency that is away
 * never makes every replica restart; readiness says whether this replica can serve: degraded still serves.
 * Names and states only: no versions, addresses or error texts.
 */
@SetMetadata(PUBLIC, true)
@SetMetadata(UNLIMITED, true)
@Controller('health')
export class HealthController {
  constructor(@Inject(HealthRegistry) private readonly health: HealthRegistry) {}

  @Get('live')
  live(@Res({ passthrough: true }) reply: Reply) {
    const alive = this.health.alive();
    if (!alive) reply.status(503);
    return { status: alive ? 'up' : 'stuck' };
  }

  @Get('ready')
  async ready(@Res({ passthrough: true }) reply: Reply) {
    if (this.health.shuttingDown) {
      reply.status(503);
      return { status: 'shutting_down' };
    }
    const { status, checks } = await this.health.check();
    if (status === 'down' || !this.health.started) reply.status(503);
    return { status, checks: Object.fromEntries(Object.entries(checks).map(([name, check]) => [name, check.status])) };
  }

  @Get('startup')
  startup(@Res({ passthrough: true }) reply: Reply) {
    if (!this.health.started) reply.status(503);
    return { status: this.health.started ? 'up' : 'starting' };
  }
}
