import { Controller, Delete, Get, Param, Query } from '@nestjs/common';
import { ApiOperation, ApiTags } from '@nestjs/swagger';
import { LimiterService, LoginProtection, PolicyBook } from '@yuxi/throttler';
import { z } from 'zod';
import { AuditLog } from '../audit/index.js';
import { type Caller, CurrentUser, Roles, viaKey } from '../auth/index.js';
import { ApiError } from '../http/index.js';

const policyName = z.string().min(1).max(32);
const limitKey = z.string().min(1).max(512);
const query = z.strictObject({ key: limitKey.optional() });

/** What operators see of the limits of all replicas, and how a client is let in again. */
@ApiTags('system')
@Roles('superadmin')
@Controller('api/system/limits')
export class LimitsController {
  constructor(
    private readonly limiter: LimiterService,
    private readonly logins: LoginProtection,
    private readonly policies: PolicyBook,
    private readonly audit: AuditLog,
  ) {}

  @Get()
  @ApiOperation({ summary: 'The limits; with a key, e.g. a client address, how far it is in each of them' })
  async list(@Query({ schema: query }) { key }: z.output<typeof query>) {
    const limits = this.policies.all().map(async ({ name, limit, windowUs, dryRun, onUnavailable }) => ({
      policy: name,
      limit,
      window_ms: windowUs / 1000,
      only_counts: dryRun,
      on_unavailable: onUnavailable,
      ...(key !== undefined && (await this.#stateOf(name, key))),
    }));
    return { counted_by: this.limiter.countedBy, limits: await Promise.all(limits) };
  }

  @Delete(':policy/:key')
  @ApiOperation({ summary: 'Forget hits and blocks of a key, on all replicas at once' })
  async reset(
    @CurrentUser() caller: Caller,
    @Param('policy', { schema: policyName }) policy: string,
    @Param('key', { schema: limitKey }) key: string,
  ) {
    if (!this.policies.find(policy)) throw new ApiError('NOT_FOUND', `There is no limit "${policy}"`);
    const everywhere = await this.logins.reset(policy, key);
    const details = { everywhere, ...viaKey(caller) };
    this.audit.record({ action: 'limit.reset', actor: caller.id, target: `limit:${policy}:${key}`, details });
    return { message: 'limit reset', policy, key, everywhere };
  }

  async #stateOf(policy: string, key: string) {
    const { used, remaining, retryAfterMs, resetMs, source } = await this.limiter.inspect(policy, key);
    // Clients of this route know the fallback counters as `shadow`.
    const servedSource = source === 'fallback' ? 'shadow' : source;
    return { key, used, remaining, retry_after_ms: retryAfterMs, reset_ms: resetMs, source: servedSource };
  }
}
