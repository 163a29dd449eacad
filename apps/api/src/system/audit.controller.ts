import { Controller, Get, Inject, Query } from '@nestjs/common';
import { ApiOperation, ApiTags } from '@nestjs/swagger';
import { z } from 'zod';
import { AUDIT_ACTIONS, AuditStore, type StoredAuditEvent } from '../audit/index.js';
import { Roles } from '../auth/index.js';
import { ApiResponseSchema, queryInstant, queryInt } from '../http/index.js';

const auditQuery = z.strictObject({
  actor: queryInt(1, 2 ** 31 - 1)
    .optional()
    .describe('Id of the user who acted'),
  action: z.enum(AUDIT_ACTIONS).optional(),
  from: queryInstant.optional().describe('At this instant or later'),
  to: queryInstant.optional().describe('Before this instant'),
  before: queryInt(1, Number.MAX_SAFE_INTEGER).optional().describe('next_before of the previous page'),
  limit: queryInt(1, 200).default(50),
});

const eventView = z.object({
  id: z.int(),
  at: z.string().describe('ISO 8601, UTC'),
  actor_id: z.int().nullable().describe('Id of the user who acted; null when no user was logged in'),
  action: z.string(),
  target: z.string().nullable(),
  outcome: z.enum(['ok', 'refused']),
  client_address: z.string().nullable(),
  request_id: z.string().nullable(),
  details: z.record(z.string(), z.unknown()),
});
const auditPage = z.object({
  events: z.array(eventView),
  next_before: z.int().nullable().describe('Value of before for the next page; null on the last page'),
});

@ApiTags('system')
@Roles('superadmin')
@Controller('api/system/audit')
export class AuditController {
  constructor(@Inject(AuditStore) private readonly events: AuditStore) {}

  @Get()
  @ApiOperation({ summary: 'List security events, newest first' })
  @ApiResponseSchema(200, 'One page', auditPage)
  async list(@Query({ schema: auditQuery }) query: z.output<typeof auditQuery>): Promise<z.output<typeof auditPage>> {
    // One row more than requested shows whether there is another page.
    const found = await this.events.list({ ...query, limit: query.limit + 1 });
    const events = found.slice(0, query.limit).map(toView);
    return { events, next_before: found.length > events.length ? events.at(-1)!.id : null };
  }
}

function toView({ at, actorId, clientAddress, requestId, ...event }: StoredAuditEvent): z.output<typeof eventView> {
  return {
    id: event.id,
    at: at.toISOString(),
    actor_id: actorId,
    action: event.action,
    target: event.target,
    outcome: event.outcome,
    client_address: clientAddress,
    request_id: requestId,
    details: event.details,
  };
}
