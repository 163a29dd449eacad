import type { Pool } from 'pg';
import type { SqlClient } from '@yuxi/core';
import type { Database } from '../database.js';
import { pgliteClient } from './pglite-client.js';
import type { PgliteConnection } from './pglite-session.js';
import { postgresClient } from './postgres-client.js';

/**
 * The `SqlClient` of a drizzle transaction: what is done through it commits and rolls back with `tx`.
 * For libraries that take a `SqlClient`, e.g. to enqueue a task together with the rows it is about.
 * Its own `transaction` is not available; use savepoints of drizzle (`tx.transaction`).
 */
export function sqlOf(tx: Database): SqlClient {
  // drizzle keeps the connection of a transaction in its session, without a public name for it.
  const { client } = (tx as unknown as { session: { client: Pool | PgliteConnection } }).session;
  const inner = 'exec' in client ? pgliteClient(client) : postgresClient(client);
  return {
    query: (text, params, options) => inner.query(text, params, options),
    transaction: () =>
      Promise.reject(new Error('sqlOf(tx) has no transaction of its own: use tx.transaction of drizzle')),
  };
}
