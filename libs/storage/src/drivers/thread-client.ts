import { Client, type ClientConfig } from 'pg';
import type { SqlThreadClient } from '@yuxi/core';

/** Opens one connection for a thread; see `SqlThreadSource`. */
export async function open(config: ClientConfig): Promise<SqlThreadClient> {
  const client = new Client(config);
  // The next statement reports a lost connection.
  client.on('error', () => undefined);
  await client.connect();
  const query: SqlThreadClient['query'] = async (text, params = [], { timeout } = {}) => {
    const statement = { text, values: [...params], ...(timeout !== undefined && { query_timeout: timeout }) };
    const { rows, rowCount } = await client.query<never>(statement);
    return { rows, rowCount: rowCount ?? rows.length };
  };
  return { query, close: () => client.end().catch(() => undefined) };
}
