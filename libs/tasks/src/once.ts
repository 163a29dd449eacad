import { Inject, Injectable } from '@nestjs/common';
import { OptionsError, type SqlClient } from '@yuxi/core';
import { toJson } from '../json.js';
import { EffectRevokedError } from '../tasks.errors.js';
import { TASKS_SQL } from '../tasks.tokens.js';

const LONGEST_KEY = 200;

/**
 * Effects that happen exactly once however often their task runs: a queue can only promise at least one run, as a worker may
 * die between the effect and its last word. The key and the effect are committed by the same transaction.
 */
@Injectable()
export class Once {
  constructor(@Inject(TASKS_SQL) private readonly sql: SqlClient) {}

  /**
   * Runs `effect` unless an effect with this key was committed already. Whoever comes while it runs waits for its end, and runs it
   * if that one failed. Only what `effect` does through `tx` is part of the promise: a mail that it sends goes out again.
   * @param key 1..200 characters, for example the task's id and the name of the step; known for as long as `sweep.keepEffects`
   * @returns what the effect returned, now or the first time, as JSON reads it back
   * @throws {OptionsError} for a key that cannot be; {@link PayloadError} for a result that is no JSON; {@link EffectRevokedError}
   * after {@link undo}; whatever `effect` throws
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
   * Takes the effect with this key back, once, and only if it was done. From then on {@link run} refuses the key, so that an effect
   * whose process stood still cannot land after it was undone. Waits for an effect that is under way.
   * @param undo what takes the effect back, in the transaction that marks the key; it gets what the effect returned
   * @throws {OptionsError} for a key that cannot be; whatever `undo` throws, after which the effect counts as done
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
