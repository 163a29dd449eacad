import { Inject, Injectable } from '@nestjs/common';
import { SQL_CLIENT, type SqlClient } from '@yuxi/core';

import type { Actor } from '../actor.js';
import { isHandle } from '../common/handle.js';
import { ForbiddenError, NotFoundError } from '../knowledge.errors.js';

/** What {@link VISIBLE} and {@link MANAGED} read: a database `d` and its owner `o`. */
export const DATABASES = 'databases d JOIN users o ON o.id = d.owner_id';

const FULL = `(d.owner_id = $1::int OR $2::text = 'superadmin' OR ($2::text = 'admin' AND o.department_id = $3::int))`;

/** SQL condition: the actor of `$1..$3` ({@link actorParams}) may read the database. */
export const VISIBLE = `(d.deleted_at IS NULL AND (${FULL}
  OR d.share_config->>'visibility' = 'public'
  OR (d.share_config->>'visibility' = 'departments' AND d.share_config->'departments' @> to_jsonb($3::int))))`;

/** SQL condition: the actor of `$1..$3` may change the database and its files. */
export const MANAGED = FULL;

export function actorParams(actor: Actor): [number, string, number | null] {
  return [actor.id, actor.role, actor.departmentId];
}

/** Decides, by one statement and without a memory, what an actor may do with one database. */
@Injectable()
export class DatabaseAccess {
  constructor(@Inject(SQL_CLIENT) private readonly sql: SqlClient) {}

  /**
   * `databases.id` of a database the actor may read.
   * @throws {NotFoundError} also where it exists but is not for this actor.
   */
  async read(actor: Actor, dbId: string): Promise<number> {
    return (await this.find(actor, dbId)).id;
  }

  /**
   * `databases.id` of a database the actor may change: the owner, the superadmin, and admins of the owner's department.
   * @throws {NotFoundError} when the actor may not even read it. @throws {ForbiddenError} when it may only read it.
   */
  async manage(actor: Actor, dbId: string): Promise<number> {
    const { id, managed } = await this.find(actor, dbId);
    if (!managed) throw new ForbiddenError(`Database ${dbId} is shared with you for reading only; ask its owner`);
    return id;
  }

  private async find(actor: Actor, dbId: string): Promise<{ id: number; managed: boolean }> {
    if (!isHandle(dbId)) throw new NotFoundError('Database', String(dbId));
    const { rows } = await this.sql.query<{ id: number; managed: boolean | null }>(
      `SELECT d.id, ${MANAGED} AS managed FROM ${DATABASES} WHERE d.db_id = $4 AND ${VISIBLE}`,
      [...actorParams(actor), dbId],
    );
    if (!rows[0]) throw new NotFoundError('Database', dbId);
    return { id: rows[0].id, managed: rows[0].managed === true };
  }
}
