import { Body, Controller, Get, HttpCode, Inject, Post, Res } from '@nestjs/common';
import { ApiOperation, ApiTags } from '@nestjs/swagger';
import type { FastifyReply } from 'fastify';
import { z } from 'zod';
import { type Caller, CurrentUser, Public, Roles } from '../auth/index.js';
import { ApiBodySchema } from '../http/index.js';
import { SettingsService } from '../system/settings/settings.service.js';
import { VERSION } from '../version.js';
import { HEALTHY } from './legacy-fields.js';

const flatValue = z.union([z.string().max(4096), z.number(), z.boolean(), z.null()]);
const key = z.string().min(1).max(128);
const oneSetting = z.strictObject({ key, value: flatValue });
const manySettings = z.record(key, flatValue);

/** The health check of the legacy API. */
@ApiTags('system')
@Controller('api/system')
export class LegacyHealthController {
  @Public()
  @Get('health')
  @ApiOperation({
    operationId: 'SystemController_health',
    summary: 'Check whether the API responds. The probes under /health report more',
  })
  health() {
    return { status: 'ok', message: HEALTHY, version: VERSION };
  }
}

/** Changes of settings as the legacy API has them: without `If-Match`, so the last writer wins. */
@ApiTags('system')
@Roles('superadmin')
@Controller('api/system/config')
export class LegacySettingsController {
  constructor(@Inject(SettingsService) private readonly settings: SettingsService) {}

  @Post()
  @HttpCode(200)
  @ApiOperation({
    operationId: 'SettingsController_set',
    summary: 'Change one live setting on every replica, without If-Match',
  })
  @ApiBodySchema(oneSetting)
  set(
    @CurrentUser() caller: Caller,
    @Body({ schema: oneSetting }) { key: name, value }: z.output<typeof oneSetting>,
    @Res({ passthrough: true }) reply: FastifyReply,
  ) {
    return this.#update(caller, { [name]: value }, reply);
  }

  @Post('update')
  @HttpCode(200)
  @ApiOperation({
    operationId: 'SettingsController_update',
    summary: 'Change several live settings on every replica, all or none, without If-Match',
  })
  @ApiBodySchema(manySettings)
  update(
    @CurrentUser() caller: Caller,
    @Body({ schema: manySettings }) values: z.output<typeof manySettings>,
    @Res({ passthrough: true }) reply: FastifyReply,
  ) {
    return this.#update(caller, values, reply);
  }

  async #update(caller: Caller, values: Record<string, unknown>, reply: FastifyReply) {
    await this.settings.update(caller, values, { reason: 'api' });
    const { values: current, tag } = this.settings.current();
    reply.header('etag', tag);
    return current;
  }
}
