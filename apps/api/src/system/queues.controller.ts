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
  before: taskId.optional().describe('next_before of the previous page'),
  limit: queryInt(1, 100).default(50),
});
/** Selects dead letters: one by its id, or all of a queue, of a handler, or of both. */
const selection = z
  .strictObject({ id: taskId.optional(), queue: queueName.optional(), name: z.string().min(1).max(100).optional() })
  .refine((given) => Object.values(given).some((value) => value !== undefined), 'must have an id, a queue or a name');
type Selection = z.output<typeof selection>;

/** Shows the task queues of all replicas to operators, and changes them. */
@ApiTags('system')
@Roles('superadmin')
@Controller('api/system/queues')
export class QueuesController {
  constructor(
    @Inject(QueueAdmin) private readonly queues: QueueAdmin,
    private readonly audit: AuditLog,
  ) {}

  @Get()
  @ApiOperation({ summary: 'List queues: depth, age of the oldest task, running tasks, dead letters, workers' })
  async list() {
    return { queues: await this.queues.list() };
  }

  @Get('dead-letters')
  @ApiOperation({ summary: 'List dead letters, newest first. These tasks have used up their attempts' })
  async deadLetters(@Query({ schema: listQuery }) query: z.output<typeof listQuery>) {
    const letters = await this.queues.deadLetters(query);
    return { dead_letters: letters, next_before: letters.length === query.limit ? letters.at(-1)!.id : null };
  }

  @Post('dead-letters/replay')
  @HttpCode(200)
  @ApiOperation({ summary: 'Run dead letters again, with all their attempts' })
  @ApiBodySchema(selection)
  async replay(@CurrentUser() caller: Caller, @Body({ schema: selection }) selected: Selection) {
    const replayed = await this.queues.replay(selected);
    this.#record(caller, 'queue.replay', selected.queue, { ...selected, replayed });
    return { message: 'dead letters replayed', replayed };
  }

  @Post('dead-letters/discard')
  @HttpCode(200)
  @ApiOperation({ summary: 'Remove dead letters. Members of a task group are kept' })
  @ApiBodySchema(selection)
  async discard(@CurrentUser() caller: Caller, @Body({ schema: selection }) selected: Selection) {
    const discarded = await this.queues.discard(selected);
    this.#record(caller, 'queue.discard', selected.queue, { ...selected, discarded });
    return { message: 'dead letters discarded', discarded };
  }

  @Post(':queue/pause')
  @HttpCode(200)
  @ApiOperation({ summary: 'Start no more tasks of the queue, on all replicas. Running tasks continue' })
  async pause(@CurrentUser() caller: Caller, @Param('queue', { schema: queueName }) queue: string) {
    await this.queues.pause(queue, caller.userId);
    this.#record(caller, 'queue.pause', queue);
    return { message: 'queue paused', queue };
  }

  @Post(':queue/resume')
  @HttpCode(200)
  @ApiOperation({ summary: 'Start tasks of a paused queue again' })
  async resume(@CurrentUser() caller: Caller, @Param('queue', { schema: queueName }) queue: string) {
    if (!(await this.queues.resume(queue))) throw new ApiError('CONFLICT', `Queue "${queue}" is not paused`);
    this.#record(caller, 'queue.resume', queue);
    return { message: 'queue resumed', queue };
  }

  @Delete(':queue/waiting')
  @ApiOperation({ summary: 'Cancel all waiting and scheduled tasks of the queue. Running tasks continue' })
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
