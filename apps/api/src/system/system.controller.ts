import { Body, Controller, Get, HttpCode, Inject, Post } from '@nestjs/common';
import { ApiOperation, ApiTags } from '@nestjs/swagger';
import { LiveConfig } from '@yuxi/config-sync';
import { type Settings, SETTINGS } from '@yuxi/platform';
import { z } from 'zod';
import { AuditLog } from '../audit/index.js';
import { type Caller, CurrentUser, Public, Roles, viaKey } from '../auth/index.js';
import { ApiBodySchema } from '../http/index.js';
import { flatten, toPatch } from './flat-settings.js';
import { VERSION } from './version.js';

const flatValue = z.union([z.string().max(4096), z.number(), z.boolean(), z.null()]);
const oneSetting = z.strictObject({ key: z.string().min(1).max(128), value: flatValue });
const manySettings = z.record(z.string().min(1).max(128), flatValue);

@ApiTags('system')
@Controller('api/system')
export class SystemController {
  constructor(
    @Inject(LiveConfig) private readonly config: LiveConfig<Settings>,
    private readonly audit: AuditLog,
  ) {}

  @Public()
  @Get('health')
  @ApiOperation({ summary: 'Whether the API answers; the probes under /health say more' })
  health() {
    return { status: 'ok', message: '服务正常运行', version: VERSION };
  }

  @Roles('admin')
  @Get('config')
  @ApiOperation({ summary: 'The live settings, as flat keys' })
  settings() {
    return flatten(this.config.get());
  }

  @Roles('superadmin')
  @Post('config')
  @HttpCode(200)
  @ApiOperation({ summary: 'Change one live setting on every replica' })
  @ApiBodySchema(oneSetting)
  async set(@CurrentUser() caller: Caller, @Body({ schema: oneSetting }) { key, value }: z.output<typeof oneSetting>) {
    return this.change(caller, { [key]: value });
  }

  @Roles('superadmin')
  @Post('config/update')
  @HttpCode(200)
  @ApiOperation({ summary: 'Change several live settings at once, or none' })
  @ApiBodySchema(manySettings)
  async update(@CurrentUser() caller: Caller, @Body({ schema: manySettings }) values: z.output<typeof manySettings>) {
    return this.change(caller, values);
  }

  private async change(caller: Caller, values: Record<string, unknown>) {
    const { revision } = await this.config.update(toPatch(SETTINGS, values), { author: caller.userId, reason: 'api' });
    const details = { changed: Object.keys(values), revision, ...viaKey(caller) };
    this.audit.record({ action: 'settings.change', actor: caller.id, target: 'settings', details });
    return flatten(this.config.get());
  }
}
