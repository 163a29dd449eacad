import { Body, Controller, Get, Headers, HttpCode, Inject, Post, Put, Query, Res } from '@nestjs/common';
import { ApiHeader, ApiOperation, ApiTags } from '@nestjs/swagger';
import type { ConfigUpdate } from '@yuxi/config-sync';
import type { FastifyReply } from 'fastify';
import type { z } from 'zod';
import { type Caller, CurrentUser, EndsWithCaller, Roles } from '../../auth/index.js';
import { ApiResponseSchema, ApiBodySchema } from '../../http/index.js';
import * as schemas from './settings.schemas.js';
import { ifMatch, ifNoneMatch, SettingsService } from './settings.service.js';

const IF_MATCH = {
  name: 'If-Match',
  description: 'ETag of the settings that were read, or * to skip the check',
  required: true,
};

/** Settings that change on all replicas without a restart. */
@ApiTags('system')
@Controller('api/system/config')
export class SettingsController {
  constructor(@Inject(SettingsService) private readonly settings: SettingsService) {}

  @Roles('admin')
  @Get()
  @ApiOperation({ summary: 'Get the live settings as flat keys' })
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
  @ApiOperation({ summary: 'Change live settings on every replica, by a merge patch of the flat keys' })
  @ApiHeader(IF_MATCH)
  @ApiBodySchema(schemas.settingsPatch)
  @ApiResponseSchema(200, 'Changed. With wait: all replicas serve the change', schemas.writtenView)
  @ApiResponseSchema(202, 'Changed, but not all replicas served the change within wait', schemas.writtenView)
  async put(
    @CurrentUser() caller: Caller,
    @Headers('if-match') tag: string | undefined,
    @Query({ schema: schemas.putQuery }) { dryRun, wait, reason }: z.output<typeof schemas.putQuery>,
    @Body({ schema: schemas.settingsPatch }) patch: z.output<typeof schemas.settingsPatch>,
    @Res({ passthrough: true }) reply: FastifyReply,
  ) {
    const options = { ...ifMatch(tag, this.settings.current()), reason };
    if (dryRun) return this.settings.preview(patch, options);
    return this.#respond(reply, await this.settings.update(caller, patch, options), wait);
  }

  @Roles('superadmin')
  @Post('rollback')
  @EndsWithCaller()
  @HttpCode(200)
  @ApiOperation({ summary: 'Restore an earlier revision, as a new one' })
  @ApiHeader(IF_MATCH)
  @ApiBodySchema(schemas.rollbackBody)
  @ApiResponseSchema(200, 'Changed. With wait: all replicas serve the change', schemas.writtenView)
  @ApiResponseSchema(202, 'Changed, but not all replicas served the change within wait', schemas.writtenView)
  async rollback(
    @CurrentUser() caller: Caller,
    @Headers('if-match') tag: string | undefined,
    @Query({ schema: schemas.rollbackQuery }) { wait }: z.output<typeof schemas.rollbackQuery>,
    @Body({ schema: schemas.rollbackBody }) { revision, reason }: z.output<typeof schemas.rollbackBody>,
    @Res({ passthrough: true }) reply: FastifyReply,
  ) {
    const options = { ...ifMatch(tag, this.settings.current()), reason };
    return this.#respond(reply, await this.settings.rollback(caller, revision, options), wait);
  }

  async #respond(reply: FastifyReply, update: ConfigUpdate, wait: number | undefined) {
    const { status, view } = await this.settings.written(update, wait);
    reply.status(status).header('etag', this.settings.current().tag);
    return view;
  }
}
