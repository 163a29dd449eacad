import { Body, Controller, Delete, Get, HttpCode, Inject, Param, Post, Query } from '@nestjs/common';
import { ApiOperation, ApiTags } from '@nestjs/swagger';
import { QueueAdmin } from '@yuxi/tasks';
import { z } from 'zod';
import { AuditLog } from '../audit/index.js';
import { type Caller, CurrentUser, Roles, viaKey } from '../auth/index.js';
import { ApiBodySchema, ApiError, queryInt } from '../http/index.js';

const queueName = z.string().min(1).max(100);
const taskId = z.string().min(1).max(128);
const listQuery = z.strictObject({
  queue: queueName.optional(),
  name: z.string().min(1).max(100).optional().describe('Name of the handler'),
  before: taskId.optional().describe('next_before of the page above'),
  limit: queryInt(1, 100).default(50),
});
/** Which dead letters: one, or all of a queue, of a handler, or of both. */
const choice = z
  .strictObject({ id: taskId.optional(), queue: queueName.optional(), name: z.string().min(1).max(100).optional() })
  .refine((given) => Object.values(given).some((value) => value !== undefined), 'name an id, a queue or a name');
type Choice = z.output<typeof choice>;

/** What operators see of the queues of all replicas, and what they can do about them. */
@ApiTags('system')
@Roles('superadmin')
@Controller('api/system/queues')
export class QueuesController {
  constructor(
    @Inject(QueueAdmin) private readonly queues: QueueAdmin,
    private readonly audit: AuditLog,
  ) {}

  @Get()
  @ApiOperation({ summary: 'Queues: depth, age of the oldest, running, dead, workers' })
  async list() {
    return { queues: await this.queues.list() };
  }

  @Get('dead-letters')
  @ApiOperation({ summary: 'Tasks that failed for good, newest first' })
  async deadLetters(@Query({ schema: listQuery }) query: z.output<typeof listQuery>) {
    const letters = await this.queues.deadLetters(query);
    return { dead_letters: letters, next_before: letters.length === query.limit ? letters.at(-1)!.id : null };
  }

  @Post('dead-letters/replay')
  @HttpCode(200)
  @ApiOperation({ summary: 'Run failed tasks again, with all their attempts' })
  @ApiBodySchema(choice)
  async replay(@CurrentUser() caller: Caller, @Body({ schema: choice }) chosen: Choice) {
    const replayed = await this.queues.replay(chosen);
    this.#record(caller, 'queue.replay', chosen.queue, { ...chosen, replayed });
    return { message: 'dead letters replayed', replayed };
  }

  @Post('dead-letters/discard')
  @HttpCode(200)
  @ApiOperation({ summary: 'Remove failed tasks; members of a group stay with it' })
  @ApiBodySchema(choice)
  async discard(@CurrentUser() caller: Caller, @Body({ schema: choice }) chosen: Choice) {
    const discarded = await this.queues.discard(chosen);
    this.#record(caller, 'queue.discard', chosen.queue, { ...chosen, discarded });
    return { message: 'dead letters discarded', discarded };
  }

  @Post(':queue/pause')
  @HttpCode(200)
  @ApiOperation({ summary: 'Begin no task of the queue any more, on any replica; what runs goes on' })
  async pause(@CurrentUser() caller: Caller, @Param('queue', { schema: queueName }) queue: string) {
    await this.queues.pause(queue, caller.userId);
    this.#record(caller, 'queue.pause', queue);
    return { message: 'queue paused', queue };
  }

  @Post(':queue/resume')
  @HttpCode(200)
  @ApiOperation({ summary: 'Begin tasks of the queue again' })
  async resume(@CurrentUser() caller: Caller, @Param('queue', { schema: queueName }) queue: string) {
    if (!(await this.queues.resume(queue))) throw new ApiError('CONFLICT', `Queue "${queue}" is not paused`);
    this.#record(caller, 'queue.resume', queue);
    return { message: 'queue resumed', queue };
  }

  @Delete(':queue/waiting')
  @ApiOperation({ summary: 'Cancel everything that waits in the queue, also for later; what runs goes on' })
  async drain(@CurrentUser() caller: Caller, @Param('queue', { schema: queueName }) queue: string) {
    const cancelled = await this.queues.drain(queue);
    this.#record(caller, 'queue.drain', queue, { cancelled });
    return { message: 'queue drained', queue, cancelled };
  }

  #record(caller: Caller, action: QueueAction, queue?: string, details: Record<string, unknown> = {}): void {
    const target = queue === undefined ? undefined : `queue:${queue}`;
    this.audit.record({ action, actor: caller.id, target, details: { ...details, ...viaKey(caller) } });
  }
}

type QueueAction = `queue.${'drain' | 'discard' | 'pause' | 'replay' | 'resume'}`;
