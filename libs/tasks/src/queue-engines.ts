import { Inject, Injectable, Optional } from '@nestjs/common';
import { OptionsError, type SqlClient } from '@yuxi/core';
import { REDIS_CONNECTION, type RedisClient } from '@yuxi/redis';
import type { QueueOperator } from './queue-operator.js';
import { RowQueues } from './store/row-queues.js';
import { StreamQueues } from './streams/stream-queues.js';
import { StreamTasks } from './streams/stream-tasks.js';
import { TaskRegistry } from './task.registry.js';
import { absentSql, TASKS_SQL } from './tasks.tokens.js';

/** The engines that this application uses. Without a task in Redis no command is sent there. */
@Injectable()
export class QueueEngines {
  readonly #rows?: QueueOperator;
  readonly #streams?: QueueOperator;

  constructor(
    @Inject(TASKS_SQL) sql: SqlClient,
    private readonly tasks: StreamTasks,
    private readonly registry: TaskRegistry,
    @Optional() @Inject(REDIS_CONNECTION) redis?: RedisClient,
  ) {
    if (sql !== absentSql) this.#rows = new RowQueues(sql);
    if (redis) this.#streams = new StreamQueues(redis);
  }

  /** @throws {OptionsError} when a task of the application needs an engine that is not available */
  check(): void {
    for (const { name, cron } of this.registry.all()) {
      const where = `@Task ${name}`;
      const inRedis = this.tasks.usesStreams(name);
      if (inRedis && !this.#streams)
        throw new OptionsError('engine', 'rows, as there is no RedisModule', 'streams', where);
      if (!inRedis && !this.#rows)
        throw new OptionsError('engine', 'streams, as no SQL_CLIENT is bound', 'rows', where);
      // The ticks of a schedule are stored in the database.
      if (inRedis && cron) throw new OptionsError('cron', 'omitted for a task that lives in Redis', 'given', where);
    }
  }

  /** Queues of the tasks that have a handler in this application. */
  get queues(): string[] {
    return [...new Set(this.registry.all().map(({ queue }) => queue))];
  }

  get all(): QueueOperator[] {
    return [this.#rows, this.tasks.inUse ? this.#streams : undefined].flatMap((engine) => engine ?? []);
  }
}
