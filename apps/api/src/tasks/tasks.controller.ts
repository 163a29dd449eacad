import { Controller, Delete, Get, HttpCode, Inject, Param, Post, Query } from '@nestjs/common';
import { ApiOperation, ApiTags } from '@nestjs/swagger';
import type { Actor } from '@yuxi/knowledge';
import { TaskQueues, TaskService } from '@yuxi/tasks';
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

/** Administrators see every task, others their own. */
const ownerOf = (actor: Actor) => (actor.role === 'user' ? String(actor.id) : undefined);

@ApiTags('tasks')
@Controller('api/tasks')
export class TasksController {
  constructor(
    @Inject(TaskService) private readonly tasks: TaskService,
    @Inject(TaskQueues) private readonly queues: TaskQueues,
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
