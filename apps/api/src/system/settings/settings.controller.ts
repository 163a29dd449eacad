import { Body, Controller, Get, Headers, HttpCode, Inject, Post, Put, Query, Res } from '@nestjs/common';
import { ApiHeader, ApiOperation, ApiTags } from '@nestjs/swagger';
import type { ConfigUpdate } from '@yuxi/config-sync';
import type { FastifyReply } from 'fastify';
import type { z } from 'zod';
import { type Caller, CurrentUser, EndsWithCaller, Roles } from '../../auth/index.js';
import { ApiAnswer, ApiBodySchema } from '../../http/index.js';
import { ifMatch, ifNoneMatch } from './entity-tag.js';
import * as schemas from './settings.schemas.js';
import { SettingsService } from './settings.service.js';

const IF_MATCH = { name: 'If-Match', description: 'ETag of the settings that were read, or *', required: true };

/** Settings that change on all replicas without a restart. */
@ApiTags('system')
@Controller('api/system/config')
export class SettingsController {
  constructor(@Inject(SettingsService) private readonly settings: SettingsService) {}

  @Roles('admin')
  @Get()
  @ApiOperation({ summary: 'The live settings, as flat keys' })
  read(@Headers('if-none-match') known: string | undefined, @Res({ passthrough: true }) reply: FastifyReply) {
    const { values, tag } = this.settings.current();
    reply.header('etag', tag);
    if (!ifNoneMatch(known, tag)) return values;
    reply.status(304);
    return undefined;
  }

  @Roles('superadmin')
  @Put()
  @EndsWithCaller()
  @ApiOperation({ summary: 'Change live settings on every replica: a merge patch over the flat keys' })
  @ApiHeader(IF_MATCH)
  @ApiBodySchema(schemas.settingsPatch)
  @ApiAnswer(200, 'Changed; with wait: served by all replicas', schemas.writtenView)
  @ApiAnswer(202, 'Changed, and not served by all replicas within wait', schemas.writtenView)
  async put(
    @CurrentUser() caller: Caller,
    @Headers('if-match') tag: string | undefined,
    @Query({ schema: schemas.putQuery }) { dryRun, wait, reason }: z.output<typeof schemas.putQuery>,
    @Body({ schema: schemas.settingsPatch }) patch: z.output<typeof schemas.settingsPatch>,
    @Res({ passthrough: true }) reply: FastifyReply,
  ) {
    const options = { ...ifMatch(tag, this.settings.current()), reason };
    if (dryRun) return this.settings.preview(patch, options);
    return this.#answer(reply, await this.settings.update(caller, patch, options), wait);
  }

  @Roles('superadmin')
  @Post('rollback')
  @EndsWithCaller()
  @HttpCode(200)
  @ApiOperation({ summary: 'Bring an earlier revision back, as a new one' })
  @ApiHeader(IF_MATCH)
  @ApiBodySchema(schemas.rollbackBody)
  @ApiAnswer(200, 'Changed; with wait: served by all replicas', schemas.writtenView)
  @ApiAnswer(202, 'Changed, and not served by all replicas within wait', schemas.writtenView)
  async rollback(
    @CurrentUser() caller: Caller,
    @Headers('if-match') tag: string | undefined,
    @Query({ schema: schemas.rollbackQuery }) { wait }: z.output<typeof schemas.rollbackQuery>,
    @Body({ schema: schemas.rollbackBody }) { revision, reason }: z.output<typeof schemas.rollbackBody>,
    @Res({ passthrough: true }) reply: FastifyReply,
  ) {
    const options = { ...ifMatch(tag, this.settings.current()), reason };
    return this.#answer(reply, await this.settings.rollback(caller, revision, options), wait);
  }

  @Roles('superadmin')
  @Post()
  @HttpCode(200)
  @ApiOperation({ summary: 'Change one live setting on every replica, whatever the others are' })
  @ApiBodySchema(schemas.oneSetting)
  set(
    @CurrentUser() caller: Caller,
    @Body({ schema: schemas.oneSetting }) { key, value }: z.output<typeof schemas.oneSetting>,
    @Res({ passthrough: true }) reply: FastifyReply,
  ) {
    return this.#patch(caller, { [key]: value }, reply);
  }

  @Roles('superadmin')
  @Post('update')
  @HttpCode(200)
  @ApiOperation({ summary: 'Change several live settings at once, or none, whatever the others are' })
  @ApiBodySchema(schemas.manySettings)
  update(
    @CurrentUser() caller: Caller,
    @Body({ schema: schemas.manySettings }) values: z.output<typeof schemas.manySettings>,
    @Res({ passthrough: true }) reply: FastifyReply,
  ) {
    return this.#patch(caller, values, reply);
  }

  async #patch(caller: Caller, patch: Record<string, unknown>, reply: FastifyReply) {
    await this.settings.update(caller, patch, { reason: 'api' });
    const { values, tag } = this.settings.current();
    reply.header('etag', tag);
    return values;
  }

  async #answer(reply: FastifyReply, update: ConfigUpdate, wait: number | undefined) {
    const { status, view } = await this.settings.written(update, wait);
    reply.status(status).header('etag', this.settings.current().tag);
    return view;
  }
}
