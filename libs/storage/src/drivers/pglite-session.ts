import type { ParserOptions } from '@electric-sql/pglite';
import { BYTEA, DATES, type PgliteCommand, type PgliteResults, type PgliteStatement } from './pglite-protocol.js';
import type { PgliteWorker } from './pglite-worker.js';

/** Options of a statement, as PGlite has them; drizzle uses them. */
export interface PgliteQueryOptions {
  rowMode?: 'array' | 'object';
  parsers?: ParserOptions;
}

/** The part of PGlite's interface that drizzle and this library use. */
export interface PgliteSession {
  query(text: string, params?: readonly unknown[], options?: PgliteQueryOptions): Promise<PgliteResults>;
  exec(text: string): Promise<void>;
}

export interface PgliteConnection extends PgliteSession {
  transaction<T>(body: (tx: PgliteSession) => Promise<T>): Promise<T>;
}

/** Converts an error of the worker into one of this library. */
export type ConvertError = (error: unknown) => unknown;

/**
 * PGlite's interface over its worker.
 * @param current returns the present worker, which may change between two statements; throws when there is none
 */
export function pgliteConnection(current: () => PgliteWorker, convert: ConvertError): PgliteConnection {
  return {
    query: async (text, params, options) => session(current(), convert).query(text, params, options),
    exec: async (text) => session(current(), convert).exec(text),
    transaction: (body) => transaction(current, convert, body),
  };
}

async function transaction<T>(
  current: () => PgliteWorker,
  convert: ConvertError,
  body: (tx: PgliteSession) => Promise<T>,
): Promise<T> {
  const worker = current();
  const tx = worker.nextTransaction();
  const send = (command: PgliteCommand) =>
    worker.send(command).catch((error: unknown) => {
      throw convert(error);
    });
  await send({ type: 'begin', tx });
  let result: T;
  try {
    result = await body(session(worker, convert, tx));
  } catch (error) {
    await send({ type: 'rollback', tx }).catch(() => undefined);
    throw error;
  }
  await send({ type: 'commit', tx });
  return result;
}

function session(worker: PgliteWorker, convert: ConvertError, tx?: number): PgliteSession {
  const send = (type: 'query' | 'script', statement: PgliteStatement) => {
    const { params, transferList } = copyBytes(statement.params);
    return worker.send({ type, ...statement, params, tx }, transferList).catch((error: unknown) => {
      throw convert(error);
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

/** Copies bytes once, because the caller keeps its own. Without a copy a view of a larger buffer would transfer all of it. */
function copyBytes(params: readonly unknown[] = []): { params: readonly unknown[]; transferList: ArrayBuffer[] } {
  if (!params.some((param) => param instanceof Uint8Array)) return { params, transferList: [] };
  const transferList: ArrayBuffer[] = [];
  const copied = params.map((param) => {
    if (!(param instanceof Uint8Array)) return param;
    const copy = new Uint8Array(param);
    transferList.push(copy.buffer);
    return copy;
  });
  return { params: copied, transferList };
}

type Parser = (value: unknown) => unknown;

const toBuffer: Parser = (value) => {
  const { buffer, byteOffset, byteLength } = value as Uint8Array;
  return Buffer.from(buffer, byteOffset, byteLength);
};
const toDate: Parser = (value) => new Date(value as string);

/** Between threads a Buffer becomes a Uint8Array, and functions cannot be sent. So values are parsed here, in the main thread. */
function parse({ rows, fields }: PgliteResults, parsers: ParserOptions = {}): void {
  fields.forEach(({ name, dataTypeID: type }, index) => {
    const parser =
      (parsers[type] as Parser | undefined) ?? (type === BYTEA ? toBuffer : DATES.includes(type) && toDate);
    if (!parser) return;
    for (const row of rows) {
      const key = Array.isArray(row) ? index : name;
      if (row[key] !== null) row[key] = parser(row[key]);
    }
  });
}
