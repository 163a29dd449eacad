import { Controller, Delete, Get, HttpCode, Inject, Param, Post, Query, SetMetadata, Sse } from '@nestjs/common';
import { ApiOperation, ApiTags } from '@nestjs/swagger';
import type { Actor } from '@yuxi/knowledge';
import { UNLIMITED } from '@yuxi/platform';
import { TaskQueues, TaskService, TaskWatch } from '@yuxi/tasks';
import { catchError, EMPTY, endWith, ignoreElements, interval, map, merge, share, takeUntil } from 'rxjs';
import { z } from 'zod';
import { CurrentUser } from '../auth/index.js';
import { ApiError } from '../http/index.js';

const listQuery = z.strictObject({
  status: z.enum(['pending', 'running', 'success', 'failed', 'cancelled']).optional(),
  limit: z
    .string()
    .regex(/^\d{1,3}$/, 'must be a whole number 1..100')
    .transform(Number)
    .pipe(z.int().min(1).max(100))
    .default(50),
});
const taskId = z.string().min(1).max(128);

/** Milliseconds. */
const ALIVE_EVERY = 15_000;

/** What is sent: the status is the name of the event. */
interface Event {
  type: string;
  data: object;
}

/** Administrators see every task, others their own. */
const ownerOf = (actor: Actor) => (actor.role === 'user' ? String(actor.id) : undefined);

@ApiTags('tasks')
@Controller('api/tasks')
export class TasksController {
  constructor(
    @Inject(TaskService) private readonly tasks: TaskService,
    @Inject(TaskQueues) private readonly queues: TaskQueues,
    @Inject(TaskWatch) private readonly watch: TaskWatch,
  ) {}

  @Get()
  @ApiOperation({ summary: 'Tasks, newest first, with counts' })
  list(@CurrentUser() actor: Actor, @Query({ schema: listQuery }) query: z.output<typeof listQuery>) {
    return this.tasks.list({ ...query, owner: ownerOf(actor) });
  }

  @Get(':task_id')
  @ApiOperation({ summary: 'One task, as any replica sees it' })
  async get(@CurrentUser() actor: Actor, @Param('task_id', { schema: taskId }) id: string) {
    return { task: await this.tasks.get(id, { owner: ownerOf(actor) }) };
  }

  @Sse(':task_id/events')
  @SetMetadata(UNLIMITED, true)
  @ApiOperation({ summary: 'One task as server-sent events: now and after each change, until it has ended' })
  async events(@CurrentUser() actor: Actor, @Param('task_id', { schema: taskId }) id: string) {
    const changes = await this.watch.watch(id, { owner: ownerOf(actor) });
    const shown = changes.pipe(
      map((task): Event => ({ type: task.status, data: { task } })),
      catchError(() => EMPTY),
      share(),
    );
    // A comment now and then, so that no proxy takes the connection for dead.
    const alive = interval(ALIVE_EVERY).pipe(
      map((): Event => ({ type: 'alive', data: {} })),
      takeUntil(shown.pipe(ignoreElements(), endWith(true))),
    );
    return merge(shown, alive);
  }

  @Post(':task_id/cancel')
  @HttpCode(200)
  @ApiOperation({ summary: 'Ask a task to stop, wherever it runs' })
  async cancel(@CurrentUser() actor: Actor, @Param('task_id', { schema: taskId }) id: string) {
    await this.tasks.cancel(id, { owner: ownerOf(actor) });
    return { message: 'cancel requested', task_id: id };
  }

  @Post(':task_id/retry')
  @HttpCode(200)
  @ApiOperation({ summary: 'Run a failed task again, with all its attempts' })
  async retry(@CurrentUser() actor: Actor, @Param('task_id', { schema: taskId }) id: string) {
    const owner = ownerOf(actor);
    const { status } = await this.tasks.get(id, { owner });
    if ((await this.queues.replay({ id, owner })) === 0)
      throw new ApiError(
        'CONFLICT',
        `Task ${id} cannot be run again: it is ${status}, or another one like it is under way`,
      );
    return { message: 'task runs again', task_id: id };
  }

  @Delete(':task_id')
  @ApiOperation({ summary: 'Remove a finished task from the list' })
  async remove(@CurrentUser() actor: Actor, @Param('task_id', { schema: taskId }) id: string) {
    await this.tasks.remove(id, { owner: ownerOf(actor) });
    return { message: 'deleted', task_id: id };
  }
}
