import { Inject, Injectable, Optional } from '@nestjs/common';
import type { SqlClient } from '@yuxi/core';
import { REDIS_CONNECTION, type RedisClient } from '@yuxi/redis';
import type { QueueOperator } from './queue-operator.js';
import { absentSql } from './store/absent-sql.js';
import { RowQueues } from './store/row-queues.js';
import { StreamQueues } from './streams/stream-queues.js';
import { StreamTasks } from './streams/stream-tasks.js';
import { TASKS_SQL } from './tasks.tokens.js';

/** The engines that this application uses: Redis is left alone by one whose tasks are all rows. */
@Injectable()
export class QueueEngines {
  readonly #rows?: QueueOperator;
  readonly #streams?: QueueOperator;

  constructor(
    @Inject(TASKS_SQL) sql: SqlClient,
    private readonly tasks: StreamTasks,
    @Optional() @Inject(REDIS_CONNECTION) redis?: RedisClient,
  ) {
    if (sql !== absentSql) this.#rows = new RowQueues(sql);
    if (redis) this.#streams = new StreamQueues(redis);
  }

  get all(): QueueOperator[] {
    return [this.#rows, this.tasks.inUse ? this.#streams : undefined].flatMap((engine) => engine ?? []);
  }
}
