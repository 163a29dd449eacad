import { Injectable } from '@nestjs/common';
import type { TaskFilter, TaskOwnership } from '@yuxi/tasks';

import type { Actor } from '../actor.js';
import { actorParams, DatabaseAccess, DATABASES, MANAGED, VISIBLE } from './database-access.js';

/**
 * Rights on tasks. A task of a knowledge base, which is its scope, has the rights of that base: who may read it sees the task, who may
 * change it acts on the task. A task without one is for its owner alone. A superadmin sees and acts on all.
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

  /** For each pair, in order, whether the actor may see the task now. At most one statement for all of them. */
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
