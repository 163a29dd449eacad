import { Controller, Delete, Get, HttpCode, Inject, Param, Post, Query, SetMetadata, Sse } from '@nestjs/common';
import { ApiOperation, ApiTags } from '@nestjs/swagger';
import { TaskAccess } from '@yuxi/knowledge';
import { UNLIMITED } from '@yuxi/platform';
import { TaskNotFoundError, QueueAdmin, TaskService, type TaskView, TaskWatch } from '@yuxi/tasks';
import { catchError, EMPTY, endWith, ignoreElements, interval, map, merge, share, takeUntil } from 'rxjs';
import { z } from 'zod';
import { type Caller, CurrentUser } from '../auth/index.js';
import { ApiError, queryInt } from '../http/index.js';
import { TaskVisibility } from './wait-for-task.js';

const listQuery = z.strictObject({
  status: z.enum(['pending', 'running', 'success', 'failed', 'cancelled']).optional(),
  limit: queryInt(1, 100).default(50),
});
const taskId = z.string().min(1).max(128);

/** Pause between two `alive` events, milliseconds. */
const ALIVE_EVERY = 15_000;

/** A server-sent event. Its name is the status of the task. */
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
    private readonly visibility: TaskVisibility,
  ) {}

  @Get()
  @ApiOperation({
    summary:
      'List the tasks of the knowledge bases that you may read, and your own without a knowledge base; newest first, with counts',
  })
  list(@CurrentUser() caller: Caller, @Query({ schema: listQuery }) query: z.output<typeof listQuery>) {
    return this.tasks.list({ ...query, ...this.access.visible(caller) });
  }

  @Get(':task_id')
  @ApiOperation({ summary: 'Get a task' })
  async get(@CurrentUser() caller: Caller, @Param('task_id', { schema: taskId }) id: string) {
    return { task: await this.tasks.get(id, this.access.visible(caller)) };
  }

  @Sse(':task_id/events')
  @SetMetadata(UNLIMITED, true)
  @ApiOperation({ summary: 'Watch a task by server-sent events: now and after each change, until the task ends' })
  async events(@CurrentUser() caller: Caller, @Param('task_id', { schema: taskId }) id: string) {
    const changes = await this.watch.watch(id, this.access.visible(caller));
    const revoked = this.visibility.revoked(caller, await this.tasks.ownership(id));
    const shown = changes.pipe(
      map((task): Event => ({ type: task.status, data: { task } })),
      catchError(() => EMPTY),
      share(),
    );
    // Regular events, so that proxies do not close the connection as idle.
    const alive = interval(ALIVE_EVERY).pipe(
      map((): Event => ({ type: 'alive', data: {} })),
      takeUntil(shown.pipe(ignoreElements(), endWith(true))),
    );
    return merge(shown, alive).pipe(takeUntil(revoked));
  }

  @Post(':task_id/cancel')
  @HttpCode(200)
  @ApiOperation({ summary: 'Request that a task stops, on whichever replica it runs' })
  async cancel(@CurrentUser() caller: Caller, @Param('task_id', { schema: taskId }) id: string) {
    await this.#managed(caller, id);
    await this.tasks.cancel(id);
    return { message: 'cancel requested', task_id: id };
  }

  @Post(':task_id/retry')
  @HttpCode(200)
  @ApiOperation({ summary: 'Run a failed task again, with all its attempts' })
  async retry(@CurrentUser() caller: Caller, @Param('task_id', { schema: taskId }) id: string) {
    const { status } = await this.#managed(caller, id);
    if ((await this.queues.replay({ id })) === 0)
      throw new ApiError(
        'CONFLICT',
        `Task ${id} cannot run again: it is ${status}, or a task with the same deduplication key is waiting or running`,
      );
    return { message: 'task runs again', task_id: id };
  }

  @Delete(':task_id')
  @ApiOperation({ summary: 'Remove a finished task from the list' })
  async remove(@CurrentUser() caller: Caller, @Param('task_id', { schema: taskId }) id: string) {
    await this.#managed(caller, id);
    await this.tasks.remove(id);
    return { message: 'deleted', task_id: id };
  }

  /** @throws {TaskNotFoundError} when the caller may not see the task; {@link ApiError} 403 when only that is allowed */
  async #managed(caller: Caller, id: string): Promise<TaskView> {
    try {
      return await this.tasks.get(id, this.access.managed(caller));
    } catch (error) {
      if (!(error instanceof TaskNotFoundError)) throw error;
      await this.tasks.get(id, this.access.visible(caller));
      throw new ApiError('FORBIDDEN', `You may only read task ${id}: ask the owner of its knowledge base to do this`);
    }
  }
}
