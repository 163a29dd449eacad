import { Controller, Delete, Get, HttpCode, Inject, Param, Post, Query, SetMetadata, Sse } from '@nestjs/common';
import { ApiOperation, ApiTags } from '@nestjs/swagger';
import { type Actor, TaskAccess } from '@yuxi/knowledge';
import { UNLIMITED } from '@yuxi/platform';
import { TaskNotFoundError, QueueAdmin, TaskService, type TaskView, TaskWatch } from '@yuxi/tasks';
import { catchError, EMPTY, endWith, ignoreElements, interval, map, merge, share, takeUntil } from 'rxjs';
import { z } from 'zod';
import { type Caller, CurrentUser } from '../auth/index.js';
import { ApiError } from '../http/index.js';
import { TaskStreams } from './task-streams.js';

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

@ApiTags('tasks')
@Controller('api/tasks')
export class TasksController {
  constructor(
    @Inject(TaskService) private readonly tasks: TaskService,
    @Inject(QueueAdmin) private readonly queues: QueueAdmin,
    @Inject(TaskWatch) private readonly watch: TaskWatch,
    @Inject(TaskAccess) private readonly access: TaskAccess,
    private readonly streams: TaskStreams,
  ) {}

  @Get()
  @ApiOperation({
    summary: 'Tasks of the knowledge bases one may read, and the own ones without one; newest first, with counts',
  })
  list(@CurrentUser() actor: Actor, @Query({ schema: listQuery }) query: z.output<typeof listQuery>) {
    return this.tasks.list({ ...query, ...this.access.visible(actor) });
  }

  @Get(':task_id')
  @ApiOperation({ summary: 'One task, as any replica sees it' })
  async get(@CurrentUser() actor: Actor, @Param('task_id', { schema: taskId }) id: string) {
    return { task: await this.tasks.get(id, this.access.visible(actor)) };
  }

  @Sse(':task_id/events')
  @SetMetadata(UNLIMITED, true)
  @ApiOperation({ summary: 'One task as server-sent events: now and after each change, until it has ended' })
  async events(@CurrentUser() caller: Caller, @Param('task_id', { schema: taskId }) id: string) {
    const changes = await this.watch.watch(id, this.access.visible(caller));
    const lost = this.streams.lost(caller, await this.tasks.ownership(id));
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
    return merge(shown, alive).pipe(takeUntil(lost));
  }

  @Post(':task_id/cancel')
  @HttpCode(200)
  @ApiOperation({ summary: 'Ask a task to stop, wherever it runs' })
  async cancel(@CurrentUser() actor: Actor, @Param('task_id', { schema: taskId }) id: string) {
    await this.#managed(actor, id);
    await this.tasks.cancel(id);
    return { message: 'cancel requested', task_id: id };
  }

  @Post(':task_id/retry')
  @HttpCode(200)
  @ApiOperation({ summary: 'Run a failed task again, with all its attempts' })
  async retry(@CurrentUser() actor: Actor, @Param('task_id', { schema: taskId }) id: string) {
    const { status } = await this.#managed(actor, id);
    if ((await this.queues.replay({ id })) === 0)
      throw new ApiError(
        'CONFLICT',
        `Task ${id} cannot be run again: it is ${status}, or another one like it is under way`,
      );
    return { message: 'task runs again', task_id: id };
  }

  @Delete(':task_id')
  @ApiOperation({ summary: 'Remove a finished task from the list' })
  async remove(@CurrentUser() actor: Actor, @Param('task_id', { schema: taskId }) id: string) {
    await this.#managed(actor, id);
    await this.tasks.remove(id);
    return { message: 'deleted', task_id: id };
  }

  /** @throws {TaskNotFoundError} when the actor may not even see it; {@link ApiError} 403 when it may only see it */
  async #managed(actor: Actor, id: string): Promise<TaskView> {
    try {
      return await this.tasks.get(id, this.access.managed(actor));
    } catch (error) {
      if (!(error instanceof TaskNotFoundError)) throw error;
      await this.tasks.get(id, this.access.visible(actor));
      throw new ApiError(
        'FORBIDDEN',
        `Task ${id} is shared with you for reading only; ask the owner of its knowledge base`,
      );
    }
  }
}
