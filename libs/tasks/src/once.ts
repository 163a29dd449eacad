import { Inject, Injectable } from '@nestjs/common';
import { OptionsError, type SqlClient } from '@yuxi/core';
import { toJson } from './json.js';
import { EffectRevokedError } from './tasks.errors.js';
import { TASKS_SQL } from './tasks.tokens.js';

const LONGEST_KEY = 200;

/**
 * Effects that happen exactly once, however often their task runs. A queue can only guarantee at least one run, because a worker may
 * die between the effect and its acknowledgement. One transaction commits the key and the effect.
 */
@Injectable()
export class Once {
  constructor(@Inject(TASKS_SQL) private readonly sql: SqlClient) {}

  /**
   * Runs `effect` unless an effect with this key was committed before. A call during a run of the effect waits for its end, and runs it
   * again if it failed. The guarantee covers only what `effect` does through `tx`: a mail is sent again.
   * @param key 1..200 characters, for example the id of the task and the name of the step. It is kept for `sweep.keepEffects`.
   * @returns the result of the effect, from this or the first run, as JSON returns it
   * @throws {OptionsError} for an invalid key; {@link PayloadError} for a result that is not JSON; {@link EffectRevokedError} after
   * {@link undo}; what `effect` throws
   */
  async run<T>(key: string, effect: (tx: SqlClient) => T | Promise<T>): Promise<T> {
    checkKey(key, 'Once.run');
    return this.sql.transaction(async (tx) => {
      const first = await tx.query('INSERT INTO task_effects (key) VALUES ($1) ON CONFLICT DO NOTHING', [key]);
      if (first.rowCount === 0) return resultOf<T>(tx, key);
      const result = await effect(tx);
      if (result === undefined) return result;
      const json = toJson(`once ${key}`, result);
      await tx.query('UPDATE task_effects SET result = $2::jsonb WHERE key = $1', [key, json]);
      return result;
    });
  }

  /**
   * Reverses the effect with this key once, and only if it was committed. After that {@link run} refuses the key, so that the effect of a
   * suspended process cannot be committed later. Waits for an effect that is under way.
   * @param undo reverses the effect, in the transaction that marks the key. It receives the result of the effect.
   * @throws {OptionsError} for an invalid key; what `undo` throws, after which the effect still counts as done
   */
  async undo(key: string, undo: (tx: SqlClient, result: unknown) => unknown): Promise<void> {
    checkKey(key, 'Once.undo');
    await this.sql.transaction(async (tx) => {
      const never = await tx.query('INSERT INTO task_effects (key, revoked) VALUES ($1, true) ON CONFLICT DO NOTHING', [
        key,
      ]);
      if (never.rowCount === 1) return;
      const { rows } = await tx.query<Effect<unknown>>(
        `UPDATE task_effects SET revoked = true, done_at = now() WHERE key = $1 AND NOT revoked RETURNING ${EFFECT}`,
        [key],
      );
      if (rows[0]) await undo(tx, valueOf(rows[0]));
    });
  }
}

interface Effect<T> {
  result: T;
  given: boolean;
  revoked: boolean;
}

const EFFECT = 'result, result IS NOT NULL AS given, revoked';

function checkKey(key: unknown, where: string): void {
  if (typeof key !== 'string' || key.length < 1 || key.length > LONGEST_KEY || key.includes('\0'))
    throw new OptionsError('key', `1..${LONGEST_KEY} characters`, key, where);
}

async function resultOf<T>(tx: SqlClient, key: string): Promise<T> {
  const { rows } = await tx.query<Effect<T>>(`SELECT ${EFFECT} FROM task_effects WHERE key = $1`, [key]);
  if (rows[0]!.revoked) throw new EffectRevokedError(key);
  return valueOf(rows[0]!);
}

function valueOf<T>({ result, given }: Effect<T>): T {
  return (given ? result : undefined) as T;
}
