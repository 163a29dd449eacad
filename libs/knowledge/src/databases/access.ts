import { Inject, Injectable } from '@nestjs/common';
import { SQL_CLIENT, type SqlClient } from '@yuxi/core';
import type { Role } from '@yuxi/storage';
import type { TaskFilter, TaskOwnership } from '@yuxi/tasks';

import { isHandle } from '../common/input.js';
import { ForbiddenError, NotFoundError } from '../knowledge.errors.js';

/** The authenticated user on whose behalf a call runs. */
export interface Actor {
  /** `users.id`. */
  readonly id: number;
  readonly role: Role;
  readonly departmentId: number | null;
}

/** Tables that {@link VISIBLE} and {@link MANAGED} need: a database `d` and its owner `o`. */
export const DATABASES = 'databases d JOIN users o ON o.id = d.owner_id';

/** SQL expressions for the fields of an actor. */
interface ActorSql {
  id: string;
  role: string;
  department: string;
}

const managedBy = ({ id, role, department }: ActorSql) =>
  `(d.owner_id = ${id} OR ${role} = 'superadmin' OR (${role} = 'admin' AND o.department_id = ${department}))`;

const visibleTo = (actor: ActorSql) => `(d.deleted_at IS NULL AND (${managedBy(actor)}
  OR d.share_config->>'visibility' = 'public'
  OR (d.share_config->>'visibility' = 'departments' AND d.share_config->'departments' @> to_jsonb(${actor.department}))))`;

const PARAMS: ActorSql = { id: '$1::int', role: '$2::text', department: '$3::int' };

/** SQL condition: the actor of `$1..$3` ({@link actorParams}) may read the database. */
export const VISIBLE = visibleTo(PARAMS);

/** SQL condition: the actor of `$1..$3` may change the database and its files. */
const MANAGED = managedBy(PARAMS);

export function actorParams(actor: Actor): [number, string, number | null] {
  return [actor.id, actor.role, actor.departmentId];
}

/** Decides what an actor may do with a database. Each decision is one statement; nothing is cached. */
@Injectable()
export class DatabaseAccess {
  constructor(@Inject(SQL_CLIENT) private readonly sql: SqlClient) {}

  /**
   * `databases.id` of a database the actor may read.
   * @throws {NotFoundError} also when the actor may not see it.
   */
  async read(actor: Actor, dbId: string): Promise<number> {
    return (await this.#find(actor, dbId)).id;
  }

  /**
   * `databases.id` of a database the actor may change: the owner, the superadmin, and admins of the owner's department.
   * @throws {NotFoundError} when the actor may not see it. @throws {ForbiddenError} when the actor may only read it.
   */
  async manage(actor: Actor, dbId: string): Promise<number> {
    const { id, managed } = await this.#find(actor, dbId);
    if (!managed)
      throw new ForbiddenError(`Database ${dbId} is shared with you for reading only; ask its owner to change it`);
    return id;
  }

  /** For each pair, in order, whether the actor may read the database now. One statement for all pairs. */
  async readable(pairs: readonly { actor: Actor; dbId: string }[]): Promise<boolean[]> {
    if (pairs.length === 0) return [];
    const asked = pairs.map(({ actor, dbId }, place) => ({
      place,
      id: actor.id,
      role: actor.role,
      department: actor.departmentId,
      db_id: dbId,
    }));
    const { rows } = await this.sql.query<{ place: number }>(
      `SELECT a.place FROM jsonb_to_recordset($1::jsonb) AS a(place int, id int, role text, department int, db_id text), ${DATABASES}
       WHERE d.db_id = a.db_id AND ${visibleTo({ id: 'a.id', role: 'a.role', department: 'a.department' })}`,
      [JSON.stringify(asked)],
    );
    const found = new Set(rows.map(({ place }) => place));
    return pairs.map((_pair, place) => found.has(place));
  }

  async #find(actor: Actor, dbId: string): Promise<{ id: number; managed: boolean }> {
    if (!isHandle(dbId)) throw new NotFoundError('Database', String(dbId));
    const { rows } = await this.sql.query<{ id: number; managed: boolean | null }>(
      `SELECT d.id, ${MANAGED} AS managed FROM ${DATABASES} WHERE d.db_id = $4 AND ${VISIBLE}`,
      [...actorParams(actor), dbId],
    );
    if (!rows[0]) throw new NotFoundError('Database', dbId);
    return { id: rows[0].id, managed: rows[0].managed === true };
  }
}

/**
 * Rights on tasks. The scope of a task is a knowledge base. An actor that may read the base may see the task. An actor that may change the
 * base may act on the task. Only its owner may see a task without a scope. A superadmin may see and act on all tasks.
 */
@Injectable()
export class TaskAccess {
  constructor(private readonly databases: DatabaseAccess) {}

  /** Tasks that the actor may see. */
  visible(actor: Actor): TaskFilter {
    return tasksOf(actor, VISIBLE);
  }

  /** Tasks that the actor may cancel, run again and remove. */
  managed(actor: Actor): TaskFilter {
    return tasksOf(actor, `d.deleted_at IS NULL AND ${MANAGED}`);
  }

  /** For each pair, in order, whether the actor may see the task now. At most one statement for all pairs. */
  async areVisible(pairs: readonly { actor: Actor; task: TaskOwnership }[]): Promise<boolean[]> {
    const scoped = pairs.flatMap(({ actor, task }) => (task.scope === null ? [] : [{ actor, dbId: task.scope }]));
    const readable = await this.databases.readable(scoped);
    return pairs.map(({ actor, task }) => {
      const byBase = task.scope !== null && readable.shift();
      if (seesAll(actor)) return true;
      return task.scope === null ? task.owner === String(actor.id) : byBase === true;
    });
  }
}

const seesAll = ({ role }: Actor) => role === 'superadmin';

function tasksOf(actor: Actor, condition: string): TaskFilter {
  if (seesAll(actor)) return {};
  const text = `SELECT d.db_id FROM ${DATABASES} WHERE ${condition}`;
  return { owner: String(actor.id), scopes: { text, values: actorParams(actor) } };
}
