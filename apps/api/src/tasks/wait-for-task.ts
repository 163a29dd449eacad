import {
  applyDecorators,
  type CallHandler,
  type ExecutionContext,
  Inject,
  Injectable,
  type NestInterceptor,
  UseInterceptors,
} from '@nestjs/common';
import { ApiHeader, ApiQuery, ApiResponse } from '@nestjs/swagger';
import { ENDED_STATUSES, TaskService, type TaskView, TaskWatch, TooManyWatchersError } from '@yuxi/tasks';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { from, fromEvent, lastValueFrom, merge, mergeMap, type Observable, takeUntil, timer } from 'rxjs';
import type { AuthenticatedRequest } from '../auth/index.js';
import { ApiError, queryDuration } from '../http/index.js';
import { TaskStreams } from './task-streams.js';

/** Milliseconds. Below the minute after which balancers give up on an answer, with room for the answer itself. */
const LONGEST = 60_000;
const duration = queryDuration(LONGEST);
/** RFC 7240, section 4.3: whole seconds. */
const PREFERENCE = /(?:^|[\s,;])wait\s*=\s*"?(\d{1,9})"?/i;

type Waiting = FastifyRequest & AuthenticatedRequest;

/** What a route that starts a task answers. */
interface Queued {
  task_id: string;
}

/**
 * Holds the answer of a route until the task that it has started has ended, for as long as `?wait=30s` or `Prefer: wait=30` says: 200
 * with the ended task, else what the route answers anyway. Also when the process shuts down, when too many wait, which is no error, and
 * when the caller may not see the task any more.
 */
@Injectable()
class TaskWait implements NestInterceptor {
  constructor(
    @Inject(TaskWatch) private readonly watch: TaskWatch,
    @Inject(TaskService) private readonly tasks: TaskService,
    private readonly streams: TaskStreams,
  ) {}

  intercept(context: ExecutionContext, next: CallHandler<Queued>): Observable<unknown> {
    const http = context.switchToHttp();
    const request = http.getRequest<Waiting>();
    const reply = http.getResponse<FastifyReply>();
    // Before the route does anything.
    const wait = waitOf(request);
    if (wait === undefined) return next.handle();
    return next.handle().pipe(mergeMap((queued) => from(this.#ended(queued, wait, request, reply))));
  }

  async #ended(queued: Queued, wait: number, request: Waiting, reply: FastifyReply): Promise<unknown> {
    const task = await this.#lastSeen(queued.task_id, wait, request);
    if (!task || !ENDED_STATUSES.has(task.status)) return queued;
    reply.status(200);
    if (request.headers.prefer !== undefined) reply.header('preference-applied', `wait=${wait / 1000}`);
    return { ...queued, status: task.status, error: task.error, task };
  }

  async #lastSeen(id: string, wait: number, { raw, caller }: Waiting): Promise<TaskView | undefined> {
    try {
      const changes = await this.watch.watch(id);
      const lost = this.streams.lost(caller!, await this.tasks.ownership(id));
      // Nobody waits for a client that has gone.
      const over = merge(timer(wait), fromEvent(raw.socket, 'close'), lost);
      return await lastValueFrom(changes.pipe(takeUntil(over)), { defaultValue: undefined });
    } catch (error) {
      if (error instanceof TooManyWatchersError) return undefined;
      throw error;
    }
  }
}

/** @returns milliseconds, or undefined when the client does not want to wait */
function waitOf({ query, headers }: FastifyRequest): number | undefined {
  const { wait } = query as { wait?: unknown };
  if (wait !== undefined) return readWait(wait);
  const seconds = PREFERENCE.exec([headers.prefer ?? []].flat().join(','))?.[1];
  // A preference is no order: RFC 7240 lets the server do less.
  return seconds === undefined ? undefined : Math.min(Number(seconds) * 1000, LONGEST);
}

function readWait(wait: unknown): number {
  const { data, error } = duration.safeParse(wait);
  if (data !== undefined) return data;
  const { message } = error.issues[0]!;
  throw new ApiError('INVALID_INPUT', `wait: ${message}`, { errors: [{ path: 'wait', message }] });
}

/** For a route that answers `task_id`: see `TaskWait`. */
export const WaitForTask = () =>
  applyDecorators(
    UseInterceptors(TaskWait),
    ApiQuery({
      name: 'wait',
      required: false,
      schema: { type: 'string', example: '30s' },
      description: 'Answer when the task has ended, but after this time at the latest; at most 60s',
    }),
    ApiHeader({
      name: 'Prefer',
      required: false,
      schema: { type: 'string', example: 'wait=30' },
      description: 'The same in whole seconds (RFC 7240)',
    }),
    ApiResponse({
      status: 200,
      description: 'The task has ended within `wait`: its status, error and the task itself',
    }),
  );
