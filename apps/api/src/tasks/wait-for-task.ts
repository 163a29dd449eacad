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
import { TaskAccess } from '@yuxi/knowledge';
import {
  ENDED_STATUSES,
  type TaskOwnership,
  TaskService,
  type TaskView,
  TaskWatch,
  TooManyWatchersError,
} from '@yuxi/tasks';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { from, fromEvent, lastValueFrom, merge, mergeMap, type Observable, takeUntil, timer } from 'rxjs';
import { type AuthenticatedRequest, type Caller, OpenResponses, type Rights } from '../auth/index.js';
import { ApiError, queryDuration } from '../http/index.js';

/** Longest wait, milliseconds. Load balancers often close a connection after a longer silence. */
const MAX_WAIT = 60_000;
const duration = queryDuration(MAX_WAIT);
/** RFC 7240, section 4.3: whole seconds. */
const PREFERENCE = /(?:^|[\s,;])wait\s*=\s*"?(\d{1,9})"?/i;

type Waiting = FastifyRequest & AuthenticatedRequest;

/** The response of a route that starts a task. */
interface Queued {
  task_id: string;
}

/** Ends responses about a task when the caller may no longer see it. */
@Injectable()
export class TaskVisibility {
  readonly #rights: Rights<TaskOwnership>;

  constructor(
    private readonly responses: OpenResponses,
    @Inject(TaskAccess) access: TaskAccess,
  ) {
    this.#rights = {
      held: (pairs) => access.areVisible(pairs.map(({ caller, subject }) => ({ actor: caller, task: subject }))),
    };
  }

  /** Emits once, when the caller may no longer see the task. */
  revoked(caller: Caller, task: TaskOwnership): Observable<void> {
    return this.responses.revoked(caller, this.#rights, task);
  }
}

/**
 * Delays the response of a route until the task that it has started has ended, for at most the time in `?wait=30s` or
 * `Prefer: wait=30`. The response is then 200 with the ended task, and after that time the response of the route. It is that
 * one, too, when the process shuts down, too many requests wait, or the caller may no longer see the task.
 */
@Injectable()
class TaskWait implements NestInterceptor {
  constructor(
    @Inject(TaskWatch) private readonly watch: TaskWatch,
    @Inject(TaskService) private readonly tasks: TaskService,
    private readonly visibility: TaskVisibility,
  ) {}

  intercept(context: ExecutionContext, next: CallHandler<Queued>): Observable<unknown> {
    const http = context.switchToHttp();
    const request = http.getRequest<Waiting>();
    const reply = http.getResponse<FastifyReply>();
    // A malformed wait is refused before the route starts its task.
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
      const revoked = this.visibility.revoked(caller!, await this.tasks.ownership(id));
      const over = merge(timer(wait), fromEvent(raw.socket, 'close'), revoked);
      return await lastValueFrom(changes.pipe(takeUntil(over)), { defaultValue: undefined });
    } catch (error) {
      if (error instanceof TooManyWatchersError) return undefined;
      throw error;
    }
  }
}

/** @returns milliseconds; undefined when the request has no wait */
function waitOf({ query, headers }: FastifyRequest): number | undefined {
  const { wait } = query as { wait?: unknown };
  if (wait !== undefined) return readWait(wait);
  const seconds = PREFERENCE.exec([headers.prefer ?? []].flat().join(','))?.[1];
  // RFC 7240 lets a server apply less than the preference.
  return seconds === undefined ? undefined : Math.min(Number(seconds) * 1000, MAX_WAIT);
}

function readWait(wait: unknown): number {
  const { data, error } = duration.safeParse(wait);
  if (data !== undefined) return data;
  const { message } = error.issues[0]!;
  throw new ApiError('INVALID_INPUT', `wait: ${message}`, { errors: [{ path: 'wait', message }] });
}

/** For a route that starts a task and answers with its `task_id`: see `TaskWait`. */
export const WaitForTask = () =>
  applyDecorators(
    UseInterceptors(TaskWait),
    ApiQuery({
      name: 'wait',
      required: false,
      schema: { type: 'string', example: '30s' },
      description: 'Delay the response until the task has ended, at most this long. Maximum 60s',
    }),
    ApiHeader({
      name: 'Prefer',
      required: false,
      schema: { type: 'string', example: 'wait=30' },
      description: 'The same as wait, in whole seconds (RFC 7240)',
    }),
    ApiResponse({
      status: 200,
      description: 'The task has ended within `wait`. Has the task, its status and its error',
    }),
  );
