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
  before: sagaId.optional().describe('next_before of the previous page'),
  limit: queryInt(1, 100).default(50),
});

/** Shows the sagas of all replicas to operators, who decide how a stuck one continues. */
@ApiTags('system')
@Roles('superadmin')
@Controller('api/system/sagas')
export class SagasController {
  constructor(
    @Inject(SagaService) private readonly sagas: SagaService,
    private readonly audit: AuditLog,
  ) {}

  @Get()
  @ApiOperation({ summary: 'List sagas, newest first' })
  async list(@Query({ schema: listQuery }) query: z.output<typeof listQuery>) {
    const sagas = await this.sagas.list(query);
    return { sagas, next_before: sagas.length === query.limit ? sagas.at(-1)!.id : null };
  }

  @Get(':id')
  @ApiOperation({ summary: 'Get a saga with its input, results and timeline' })
  async get(@Param('id', { schema: sagaId }) id: string) {
    return { saga: await this.sagas.get(id) };
  }

  @Post(':id/retry')
  @HttpCode(200)
  @ApiOperation({ summary: 'Run the failed step of a stuck saga again, with all its attempts' })
  async retry(@CurrentUser() caller: Caller, @Param('id', { schema: sagaId }) id: string) {
    return this.#recorded(caller, 'saga.retry', await this.sagas.retry(id));
  }

  @Post(':id/skip')
  @HttpCode(200)
  @ApiOperation({ summary: 'Continue a stuck saga as if its failed step had succeeded' })
  async skip(@CurrentUser() caller: Caller, @Param('id', { schema: sagaId }) id: string) {
    return this.#recorded(caller, 'saga.skip', await this.sagas.skip(id));
  }

  @Post(':id/cancel')
  @HttpCode(200)
  @ApiOperation({ summary: 'Cancel a saga before its pivot, and compensate its steps' })
  async cancel(@CurrentUser() caller: Caller, @Param('id', { schema: sagaId }) id: string) {
    return this.#recorded(caller, 'saga.cancel', await this.sagas.cancel(id));
  }

  #recorded(caller: Caller, action: `saga.${'cancel' | 'retry' | 'skip'}`, saga: SagaView) {
    const details = { name: saga.name, status: saga.status, ...viaKey(caller) };
    this.audit.record({ action, actor: caller.id, target: `saga:${saga.id}`, details });
    return { saga };
  }
}
