import { Controller, Delete, Get, Inject, Param, Query } from '@nestjs/common';
import { ApiOperation, ApiTags } from '@nestjs/swagger';
import { ConfigRollout, LiveConfig } from '@yuxi/config-sync';
import { z } from 'zod';
import { AuditLog } from '../../audit/index.js';
import { type Caller, CurrentUser, EndsWithCaller, Roles, viaKey } from '../../auth/index.js';
import { ApiResponseSchema, ApiError } from '../../http/index.js';
import * as schemas from './settings.schemas.js';
import { flatten } from './settings.service.js';

const replicaId = z.string().min(1).max(210);

/** Shows the revisions of the settings, and which replica serves which. */
@ApiTags('system')
@Roles('superadmin')
@Controller('api/system/config')
export class RolloutController {
  constructor(
    @Inject(LiveConfig) private readonly config: LiveConfig,
    @Inject(ConfigRollout) private readonly rollout: ConfigRollout,
    private readonly audit: AuditLog,
  ) {}

  @Get('rollout')
  @EndsWithCaller()
  @ApiOperation({
    summary: 'Show which replica serves which revision of the settings, and which replicas lag or are missing',
  })
  @ApiResponseSchema(
    200,
    'With wait: when all replicas serve the newest revision, or after that time',
    schemas.rolloutView,
  )
  async status(@Query({ schema: schemas.rolloutQuery }) { wait = 0 }: z.output<typeof schemas.rolloutQuery>) {
    return schemas.toRolloutView(await this.rollout.wait(wait));
  }

  @Delete('rollout/:id')
  @ApiOperation({ summary: 'Remove a replica that will not return' })
  async forget(@CurrentUser() caller: Caller, @Param('id', { schema: replicaId }) id: string) {
    if (!(await this.rollout.forget(id))) throw new ApiError('NOT_FOUND', `There is no replica "${id}"`);
    this.audit.record({
      action: 'replica.forget',
      actor: caller.id,
      target: `replica:${id}`,
      details: viaKey(caller),
    });
    return { message: 'replica forgotten', id };
  }

  @Get('history')
  @ApiOperation({ summary: 'List revisions of the settings, newest first' })
  @ApiResponseSchema(200, 'One page', schemas.historyView)
  async history(
    @Query({ schema: schemas.historyQuery }) { before, limit }: z.output<typeof schemas.historyQuery>,
  ): Promise<z.output<typeof schemas.historyView>> {
    // One row more than requested shows whether there is another page.
    const found = await this.config.history({ before, limit: limit + 1 });
    const revisions = found
      .slice(0, limit)
      .map(({ createdAt, schemaVersion, patch, revision, author, reason, hash }) => ({
        revision,
        at: createdAt.toISOString(),
        author,
        reason,
        patch: flatten(patch),
        hash,
        schema_version: schemaVersion,
      }));
    return { revisions, next_before: found.length > limit ? revisions.at(-1)!.revision : null };
  }
}
