import { Controller, Get, HttpCode, Inject, Param, Post, Query } from '@nestjs/common';
import { ApiOperation, ApiTags } from '@nestjs/swagger';
import { SAGA_STATUSES, SagaService, type SagaView } from '@yuxi/saga';
import { z } from 'zod';
import { AuditLog } from '../audit/index.js';
import { type Caller, CurrentUser, Roles, viaKey } from '../auth/index.js';
import { queryInt } from '../http/index.js';

const sagaId = z.string().min(1).max(128);
const listQuery = z.strictObject({
  status: z.enum(SAGA_STATUSES).optional(),
  name: z.string().min(1).max(100).optional(),
  before: sagaId.optional().describe('next_before of the page above'),
  limit: queryInt(1, 100).default(50),
});

/** Sagas of all replicas: what they did, and what a person decides about one that is stuck. */
@ApiTags('system')
@Roles('superadmin')
@Controller('api/system/sagas')
export class SagasController {
  constructor(
    @Inject(SagaService) private readonly sagas: SagaService,
    private readonly audit: AuditLog,
  ) {}

  @Get()
  @ApiOperation({ summary: 'Sagas, newest first' })
  async list(@Query({ schema: listQuery }) query: z.output<typeof listQuery>) {
    const sagas = await this.sagas.list(query);
    return { sagas, next_before: sagas.length === query.limit ? sagas.at(-1)!.id : null };
  }

  @Get(':id')
  @ApiOperation({ summary: 'One saga with input, results and timeline' })
  async get(@Param('id', { schema: sagaId }) id: string) {
    return { saga: await this.sagas.get(id) };
  }

  @Post(':id/retry')
  @HttpCode(200)
  @ApiOperation({ summary: 'Run the step of a stuck saga again, with all its attempts' })
  async retry(@CurrentUser() caller: Caller, @Param('id', { schema: sagaId }) id: string) {
    return this.#decided(caller, 'saga.retry', await this.sagas.retry(id));
  }

  @Post(':id/skip')
  @HttpCode(200)
  @ApiOperation({ summary: 'Go on with a stuck saga as if its step had taken place' })
  async skip(@CurrentUser() caller: Caller, @Param('id', { schema: sagaId }) id: string) {
    return this.#decided(caller, 'saga.skip', await this.sagas.skip(id));
  }

  @Post(':id/cancel')
  @HttpCode(200)
  @ApiOperation({ summary: 'Take a saga back that has not reached its pivot' })
  async cancel(@CurrentUser() caller: Caller, @Param('id', { schema: sagaId }) id: string) {
    return this.#decided(caller, 'saga.cancel', await this.sagas.cancel(id));
  }

  #decided(caller: Caller, action: `saga.${'cancel' | 'retry' | 'skip'}`, saga: SagaView) {
    const details = { name: saga.name, status: saga.status, ...viaKey(caller) };
    this.audit.record({ action, actor: caller.id, target: `saga:${saga.id}`, details });
    return { saga };
  }
}
