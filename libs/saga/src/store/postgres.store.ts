import type { SqlClient } from '@yuxi/core';
import type { TaskQueue } from '@yuxi/tasks';
import type { SagaChange } from '../run/transitions.js';
import type { SagaQuery, SagaState, TimelineEntry } from '../saga.types.js';
import type { NewSaga, Orphan, SagaCount, SagaStore, StepTask } from './saga.store.js';

const COLUMNS = `id, name, version, key, status, direction, step, pivot, failures, epoch, input, results, error,
  cancel_requested AS "cancelRequested", task_id AS task, created_at AS "createdAt", updated_at AS "updatedAt",
  (extract(epoch FROM deadline - clock_timestamp()) * 1000)::float8 AS "timeLeft"`;

const JOURNAL = `jsonb_to_recordset($1::jsonb) AS e(event text, step text, direction text, attempt int, detail text)`;

/** Instances are rows, and so are the tasks of their steps. They survive all that the database survives, with or without Redis. */
export class PostgresSagaStore implements SagaStore {
  readonly engine = 'rows';

  constructor(
    private readonly sql: SqlClient,
    private readonly queue: TaskQueue,
  ) {}

  async start(saga: NewSaga, change: SagaChange, task: StepTask, tx?: SqlClient) {
    const { id, name, version, key, input, pivot, deadline } = saga;
    const write = async (client: SqlClient) => {
      const { status, direction } = change;
      const values = [id, name, version, key, input, pivot, deadline ?? null, status, direction, taskIdOf(id, 1)];
      await client.query(
        `INSERT INTO sagas (id, name, version, key, input, pivot, deadline, status, direction, task_id, step)
         VALUES ($1, $2, $3, $4, $5::jsonb, $6, now() + $7 * interval '1 ms', $8, $9, $10, 0)`,
        values,
      );
      await client.query(
        `INSERT INTO saga_journal (saga_id, event, step, direction, attempt, detail) SELECT $2, e.* FROM ${JOURNAL}`,
        [JSON.stringify(change.journal), id],
      );
      await this.#enqueue(client, id, 1, change, task);
    };
    const holderOf = async (client: SqlClient) => {
      const { rows } = await client.query<{ id: string }>('SELECT id FROM sagas WHERE name = $1 AND key = $2', [
        name,
        key,
      ]);
      return rows[0]?.id;
    };
    return this.#locked(tx, key === null ? undefined : `${name} ${key}`, async (client) => {
      const holder = key === null ? undefined : await holderOf(client);
      if (holder !== undefined) return { id: holder, started: false };
      await write(client);
      return { id, started: true };
    });
  }

  async load(id: string): Promise<SagaState | undefined> {
    return (await this.#read('WHERE id = $1', [id]))[0];
  }

  advance({ id, epoch }: Pick<SagaState, 'id' | 'epoch'>, change: SagaChange, task?: StepTask): Promise<boolean> {
    const { status, direction, step, failures, error, result, journal } = change;
    return this.sql.transaction(async (tx) => {
      const taskId = task ? taskIdOf(id, epoch + 1) : null;
      const returned = result ? JSON.stringify({ [result.step]: result.value }) : '{}';
      const added = await tx.query(
        `WITH mine AS (
           UPDATE sagas SET status = $4, direction = $5, step = $6, failures = $7, error = $8, task_id = $9, epoch = epoch + 1,
                  results = results || $10::jsonb, updated_at = clock_timestamp()
           WHERE id = $2 AND epoch = $3 RETURNING id)
         INSERT INTO saga_journal (saga_id, event, step, direction, attempt, detail)
         SELECT mine.id, e.* FROM mine, ${JOURNAL}`,
        [JSON.stringify(journal), id, epoch, status, direction, step, failures, error, taskId, returned],
      );
      if (added.rowCount === 0) return false;
      if (task) await this.#enqueue(tx, id, epoch + 1, change, task);
      return true;
    });
  }

  async requestCancel(id: string): Promise<boolean> {
    const { rows } = await this.sql.query(
      `WITH wanted AS (
         UPDATE sagas SET cancel_requested = true, updated_at = clock_timestamp()
         WHERE id = $1 AND status IN ('running', 'stuck') AND direction = 'forward' AND step < pivot
         RETURNING id, direction)
       INSERT INTO saga_journal (saga_id, event, direction, attempt) SELECT id, 'cancel', direction, 0 FROM wanted
       RETURNING saga_id`,
      [id],
    );
    return rows.length > 0;
  }

  async cancelled(ids: readonly string[]): Promise<string[]> {
    const { rows } = await this.sql.query<{ id: string }>(
      'SELECT id FROM sagas WHERE id = ANY($1::text[]) AND cancel_requested',
      [ids],
    );
    return rows.map(({ id }) => id);
  }

  list({ status, name, limit, before }: Required<Pick<SagaQuery, 'limit'>> & SagaQuery): Promise<SagaState[]> {
    return this.#read(
      `WHERE ($1::text IS NULL OR status = $1) AND ($2::text IS NULL OR name = $2)
         AND ($3::text IS NULL OR (created_at, id) < (SELECT created_at, id FROM sagas WHERE id = $3))
       ORDER BY created_at DESC, id DESC LIMIT $4`,
      [status ?? null, name ?? null, before ?? null, limit],
    );
  }

  async timeline(id: string): Promise<TimelineEntry[]> {
    const { rows } = await this.sql.query<TimelineEntry & { detail: string | null }>(
      `SELECT at, event, step, direction, attempt, detail FROM saga_journal WHERE saga_id = $1 ORDER BY number`,
      [id],
    );
    return rows.map(({ detail, ...entry }) => (detail === null ? entry : { ...entry, detail }));
  }

  async orphans(): Promise<Orphan[]> {
    const states = await this.#read(
      `WHERE status IN ('running', 'compensating')
         AND NOT EXISTS (SELECT FROM tasks AS t WHERE t.id = sagas.task_id AND t.status IN ('pending', 'running'))
       ORDER BY id LIMIT 100`,
      [],
    );
    const { rows } = await this.sql.query<{ id: string; error: string | null }>(
      `SELECT id, error FROM tasks WHERE id = ANY($1::text[]) AND status = 'failed'`,
      [states.map(({ task }) => task)],
    );
    const errors = new Map(rows.map(({ id, error }) => [id, error ?? 'its task failed']));
    return states.map((state) => ({
      state,
      reason: errors.get(state.task ?? ''),
      settle: () => Promise.resolve(),
    }));
  }

  async counts(): Promise<SagaCount[]> {
    const { rows } = await this.sql.query<SagaCount>(
      `SELECT name, version, status, count(*)::int AS count FROM sagas
       WHERE status IN ('running', 'compensating', 'stuck') GROUP BY name, version, status`,
    );
    return rows;
  }

  async sweep(keep: number): Promise<number> {
    const { rowCount } = await this.sql.query(
      `DELETE FROM sagas WHERE id IN (
         SELECT id FROM sagas WHERE status IN ('done', 'undone') AND updated_at < now() - $1 * interval '1 ms'
         LIMIT 1000 FOR UPDATE SKIP LOCKED)`,
      [keep],
    );
    return rowCount;
  }

  async #read(rest: string, values: readonly unknown[]): Promise<SagaState[]> {
    const { rows } = await this.sql.query<SagaState>(`SELECT ${COLUMNS} FROM sagas ${rest}`, values);
    return rows;
  }

  #enqueue(tx: SqlClient, saga: string, epoch: number, { runIn = 0 }: SagaChange, { name, title, scope }: StepTask) {
    const options = { id: taskIdOf(saga, epoch), delay: Math.round(runIn), title, scope };
    return this.queue.enqueue(name, { saga, epoch }, options, tx);
  }

  /** Two concurrent starts with one key must not both reach the unique index: its error would end the caller's transaction. */
  #locked<T>(tx: SqlClient | undefined, key: string | undefined, body: (tx: SqlClient) => Promise<T>): Promise<T> {
    const run = async (client: SqlClient) => {
      if (key !== undefined)
        await client.query('SELECT pg_advisory_xact_lock(hashtextextended($1, 7))', [`saga ${key}`]);
      return body(client);
    };
    return tx ? run(tx) : this.sql.transaction(run);
  }
}

const taskIdOf = (saga: string, epoch: number) => `${saga}.${epoch}`;
