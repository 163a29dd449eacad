import { Inject, Injectable } from '@nestjs/common';
import { OptionsError, type SqlClient } from '@yuxi/core';
import { toJson } from '../json.js';
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
   * @throws {OptionsError} for a key that cannot be; {@link PayloadError} for a result that is no JSON; whatever `effect` throws
   */
  async run<T>(key: string, effect: (tx: SqlClient) => T | Promise<T>): Promise<T> {
    if (typeof key !== 'string' || key.length < 1 || key.length > LONGEST_KEY || key.includes('\0'))
      throw new OptionsError('key', `1..${LONGEST_KEY} characters`, key, 'Once.run');
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
}

async function resultOf<T>(tx: SqlClient, key: string): Promise<T> {
  const text = 'SELECT result, result IS NOT NULL AS given FROM task_effects WHERE key = $1';
  const { rows } = await tx.query<{ result: T; given: boolean }>(text, [key]);
  return (rows[0]?.given ? rows[0].result : undefined) as T;
}
