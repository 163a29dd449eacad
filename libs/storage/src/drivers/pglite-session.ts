import type { ParserOptions } from '@electric-sql/pglite';
import { BYTEA, DATES, type PgliteOrder, type PgliteResults, type StatementOrder } from './pglite-orders.js';
import type { PgliteWorker } from './pglite-worker.js';

/** Options of a statement that PGlite has too; drizzle uses them. */
export interface PgliteQueryOptions {
  rowMode?: 'array' | 'object';
  parsers?: ParserOptions;
}

/** What drizzle and we use of PGlite's own interface. */
export interface PgliteSession {
  query(text: string, params?: readonly unknown[], options?: PgliteQueryOptions): Promise<PgliteResults>;
  exec(text: string): Promise<void>;
}

export interface PgliteConnection extends PgliteSession {
  transaction<T>(body: (tx: PgliteSession) => Promise<T>): Promise<T>;
}

/** What an error means to a caller. */
export type Explain = (error: unknown) => unknown;

/**
 * PGlite's own interface over the thread that has it.
 * @param current the thread at this moment. @throws when there is none
 */
export function pgliteConnection(current: () => PgliteWorker, explain: Explain): PgliteConnection {
  return {
    // Asked for at each statement: the thread may be another one by then.
    query: async (text, params, options) => session(current(), explain).query(text, params, options),
    exec: async (text) => session(current(), explain).exec(text),
    transaction: (body) => transaction(current, explain, body),
  };
}

async function transaction<T>(
  current: () => PgliteWorker,
  explain: Explain,
  body: (tx: PgliteSession) => Promise<T>,
): Promise<T> {
  const thread = current();
  const tx = thread.nextTransaction();
  const send = (order: PgliteOrder) =>
    thread.ask(order).catch((error: unknown) => {
      throw explain(error);
    });
  await send({ do: 'begin', tx });
  let result: T;
  try {
    result = await body(session(thread, explain, tx));
  } catch (error) {
    await send({ do: 'rollback', tx }).catch(() => undefined);
    throw error;
  }
  await send({ do: 'commit', tx });
  return result;
}

function session(thread: PgliteWorker, explain: Explain, tx?: number): PgliteSession {
  const send = (what: 'query' | 'script', statement: StatementOrder) => {
    const { params, contents } = handedOver(statement.params);
    return thread.ask({ do: what, ...statement, params, tx }, contents).catch((error: unknown) => {
      throw explain(error);
    });
  };
  return {
    async query(text, params = [], { rowMode, parsers } = {}) {
      const asText = parsers && Object.keys(parsers).map(Number);
      const results = (await send('query', { text, params, rowMode, asText }))!;
      parse(results, parsers);
      return results;
    },
    async exec(text) {
      await send('script', { text });
    },
  };
}

/** Contents are copied once, because the caller keeps its own; a view of a larger one would take all of that along. */
function handedOver(params: readonly unknown[] = []): { params: readonly unknown[]; contents: ArrayBuffer[] } {
  if (!params.some((param) => param instanceof Uint8Array)) return { params, contents: [] };
  const contents: ArrayBuffer[] = [];
  const copied = params.map((param) => {
    if (!(param instanceof Uint8Array)) return param;
    const copy = new Uint8Array(param);
    contents.push(copy.buffer);
    return copy;
  });
  return { params: copied, contents };
}

type Read = (value: unknown) => unknown;

const buffer: Read = (value) => {
  const { buffer: memory, byteOffset, byteLength } = value as Uint8Array;
  return Buffer.from(memory, byteOffset, byteLength);
};
const date: Read = (value) => new Date(value as string);

/** Between threads a Buffer becomes a plain array of bytes, and functions do not get there: what they read comes as text. */
function parse({ rows, fields }: PgliteResults, parsers: ParserOptions = {}): void {
  fields.forEach(({ name, dataTypeID: type }, index) => {
    const read = (parsers[type] as Read | undefined) ?? (type === BYTEA ? buffer : DATES.includes(type) && date);
    if (!read) return;
    for (const row of rows) {
      const key = Array.isArray(row) ? index : name;
      if (row[key] !== null) row[key] = read(row[key]);
    }
  });
}
