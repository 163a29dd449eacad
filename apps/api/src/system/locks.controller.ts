import { Controller, Delete, Get, Inject, Param } from '@nestjs/common';
import { ApiOperation, ApiTags } from '@nestjs/swagger';
import { LockService } from '@yuxi/lock';
import { RedisAvailability } from '@yuxi/redis';
import { z } from 'zod';
import { AuditLog } from '../audit/index.js';
import { type Caller, CurrentUser, Roles, viaKey } from '../auth/index.js';

const lockName = z.string().min(1).max(512);

/**
 * Shows the locks of all replicas to operators. Without Redis each process has its own locks, and the list is empty. While a
 * configured Redis is unavailable the response is 503.
 */
@ApiTags('system')
@Roles('superadmin')
@Controller('api/system/locks')
export class LocksController {
  constructor(
    @Inject(LockService) private readonly locks: LockService,
    private readonly audit: AuditLog,
    @Inject(RedisAvailability) private readonly redis: RedisAvailability,
  ) {}

  @Get()
  @ApiOperation({
    summary: 'List the locks that are held: holder, milliseconds to live, fence, number of waiting callers',
  })
  async list() {
    const distributed = this.redis.state !== 'absent';
    const locks = distributed ? await this.locks.list() : [];
    return {
      distributed,
      locks: locks.map(({ name, holder, ttlMs, fence, waiting }) => ({
        name,
        holder,
        ttl_ms: ttlMs,
        fence,
        waiting,
      })),
    };
  }

  @Delete(':name')
  @ApiOperation({ summary: 'Release a lock by force. The next waiting caller acquires it' })
  async release(@CurrentUser() caller: Caller, @Param('name', { schema: lockName }) name: string) {
    const released = await this.locks.forceRelease(name);
    this.audit.record({
      action: 'lock.release',
      actor: caller.id,
      target: `lock:${name}`,
      details: { released, ...viaKey(caller) },
    });
    return { message: released ? 'lock released' : 'lock was free', name, released };
  }
}
