import type { SqlClient } from '@yuxi/core';
import {
  TASK_STATUSES,
  type TaskFilter,
  type TaskList,
  type TaskOwnership,
  type TaskStatus,
  type TaskView,
} from '../task.types.js';
import { countMembers, FIRST_FAILURES } from './groups.js';

/** Status of row `g`. That of an open group follows from its members, counted by {@link OPEN_GROUP}. */
const STATUS = `CASE WHEN counts.total IS NULL THEN g.status
       WHEN counts.success + counts.failed + counts.cancelled = counts.total THEN
            CASE WHEN counts.cancelled > 0 THEN 'cancelled' WHEN counts.failed > 0 THEN 'failed' ELSE 'success' END
       WHEN counts.running + counts.success + counts.failed + counts.cancelled > 0 THEN 'running'
       ELSE 'pending' END`;

/** Counts the members of open groups only. */
const OPEN_GROUP = `LEFT JOIN LATERAL (${countMembers('g.id')}) AS counts ON g.is_group AND g.status = 'pending'`;

interface Row extends Omit<TaskView, 'name' | 'type'> {
  name: string;
  title: string;
  total: number | null;
  success: number;
  failed: number;
  cancelled: number;
  first_start: Date | null;
  last_end: Date | null;
  changed_at: Date | null;
  failures: unknown;
}

const COLUMNS = `g.id, g.name, g.title, g.progress, g.message, g.created_at, g.updated_at, g.started_at, g.completed_at,
       g.payload, g.result, g.error, g.cancel_requested, ${STATUS} AS status,
       counts.total, counts.success, counts.failed, counts.cancelled, counts.first_start, counts.last_end, counts.changed_at,
       CASE WHEN counts.failed > 0 THEN ${FIRST_FAILURES} ELSE '[]' END AS failures`;

/** Condition on the row `g`. @param values of the statement, to which those of the filter are added */
function countsFor({ owner, scopes }: TaskFilter, values: unknown[]): string {
  const byOwner = owner === undefined ? 'true' : `g.owner_id = $${values.push(owner)}`;
  if (!scopes) return byOwner;
  const before = values.length;
  values.push(...scopes.values);
  const listed = scopes.text.replace(/\$(\d+)/g, (_all, place: string) => `$${before + Number(place)}`);
  return `CASE WHEN g.scope IS NULL THEN ${byOwner} ELSE g.scope IN (${listed}) END`;
}

export async function readTask(sql: SqlClient, id: string, filter: TaskFilter = {}): Promise<TaskView | undefined> {
  const values: unknown[] = [id];
  const { rows } = await sql.query<Row>(
    `SELECT ${COLUMNS} FROM tasks AS g ${OPEN_GROUP} WHERE g.id = $1 AND ${countsFor(filter, values)}`,
    values,
  );
  return rows[0] && toView(rows[0]);
}

export async function readOwnership(sql: SqlClient, id: string): Promise<TaskOwnership | undefined> {
  const { rows } = await sql.query<TaskOwnership>('SELECT owner_id AS owner, scope FROM tasks WHERE id = $1', [id]);
  return rows[0];
}

/** The tasks of `ids` that exist, in no particular order. */
export async function readTasks(sql: SqlClient, ids: readonly string[]): Promise<TaskView[]> {
  const { rows } = await sql.query<Row>(
    `SELECT ${COLUMNS} FROM tasks AS g ${OPEN_GROUP} WHERE g.id = ANY($1::text[])`,
    [ids],
  );
  return rows.map(toView);
}

export async function listTasks(
  sql: SqlClient,
  { status, limit, ...filter }: TaskFilter & { status?: TaskStatus; limit: number },
): Promise<TaskList> {
  const values: unknown[] = [status ?? null, limit];
  const { rows } = await sql.query<Row>(
    `SELECT ${COLUMNS} FROM tasks AS g ${OPEN_GROUP}
     WHERE g.group_id IS NULL AND ($1::text IS NULL OR ${STATUS} = $1) AND ${countsFor(filter, values)}
     ORDER BY g.created_at DESC, g.id DESC LIMIT $2`,
    values,
  );
  return { tasks: rows.map(toView), summary: await summarise(sql, status, filter) };
}

async function summarise(
  sql: SqlClient,
  status: TaskStatus | undefined,
  filter: TaskFilter,
): Promise<TaskList['summary']> {
  const values: unknown[] = [];
  const { rows } = await sql.query<{ status: TaskStatus; name: string; count: number }>(
    `SELECT ${STATUS} AS status, g.name, count(*)::int AS count FROM tasks AS g ${OPEN_GROUP}
     WHERE g.group_id IS NULL AND ${countsFor(filter, values)} GROUP BY 1, 2`,
    values,
  );
  const summary: TaskList['summary'] = {
    total: 0,
    filtered_total: 0,
    status_counts: Object.fromEntries(TASK_STATUSES.map((name) => [name, 0])) as Record<TaskStatus, number>,
    type_counts: {},
  };
  for (const row of rows) {
    summary.total += row.count;
    if (status === undefined || row.status === status) summary.filtered_total += row.count;
    summary.status_counts[row.status] += row.count;
    summary.type_counts[row.name] = (summary.type_counts[row.name] ?? 0) + row.count;
  }
  return summary;
}

function toView(row: Row): TaskView {
  const { id, name, title, status, payload, created_at, cancel_requested } = row;
  const shown = { id, name: title || name, type: name, status, payload, created_at, cancel_requested };
  if (row.total === null) {
    const { progress, message, updated_at, started_at, completed_at, result, error } = row;
    return { ...shown, progress, message, updated_at, started_at, completed_at, result, error };
  }
  const { failures, first_start, last_end, changed_at } = row;
  const [total, success, failed, cancelled] = [row.total, row.success, row.failed, row.cancelled].map(Number) as [
    number,
    number,
    number,
    number,
  ];
  const finished = success + failed + cancelled;
  const over = finished === total;
  return {
    ...shown,
    progress: total === 0 ? 100 : (finished / total) * 100,
    message: groupMessage(over ? finished - cancelled : finished, total, failed, cancelled),
    updated_at: changed_at ?? row.updated_at,
    started_at: first_start,
    completed_at: over ? last_end : null,
    result: { total, success, failed, cancelled, failures },
    error: over && failed > 0 ? `${failed} of ${total} failed` : null,
  };
}

function groupMessage(done: number, total: number, failed: number, cancelled: number): string {
  return `${done} of ${total}${failed ? `, ${failed} failed` : ''}${cancelled ? `, ${cancelled} cancelled` : ''}`;
}
