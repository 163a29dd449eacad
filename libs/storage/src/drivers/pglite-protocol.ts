import type { Results } from '@electric-sql/pglite';

// The messages between the main thread and the worker thread with the embedded database.

export type PgliteResults = Pick<Results<Record<string, unknown>>, 'rows' | 'fields' | 'affectedRows'>;

export interface PgliteStatement {
  text: string;
  params?: readonly unknown[];
  rowMode?: 'array' | 'object';
  /** Types (OID) whose values are returned as text, because the caller parses them. */
  asText?: readonly number[];
  /** Number of an open transaction. Without one the statement waits until no transaction is open. */
  tx?: number;
}

/** A command for the worker. Commands start in the order in which they are sent; each gets one response. */
export type PgliteCommand =
  | ({ type: 'query' } & PgliteStatement)
  | ({ type: 'script' } & PgliteStatement)
  | { type: 'begin' | 'commit' | 'rollback'; tx: number }
  | { type: 'listen' | 'unlisten'; channel: string }
  /** Answered at once, unless the worker runs a statement. */
  | { type: 'ping' | 'close' };

export interface PgliteRequest {
  id: number;
  command: PgliteCommand;
}

/** Fields of an error of PostgreSQL. They are sent one by one, because the class of an error is lost between threads. */
export const ERROR_FIELDS = [
  'severity', 'code', 'detail', 'hint', 'position', 'internalPosition', 'internalQuery', 'where', 'schema', 'table', 'column',
  'dataType', 'constraint', 'file', 'line', 'routine',
] as const; // prettier-ignore

export type SerializedError = { message: string } & Partial<Record<(typeof ERROR_FIELDS)[number], string>>;

/** A message of the worker: it has opened the database, the response to a request, or a notification on a channel. */
export type PgliteMessage =
  | { opened: true }
  | { id: number; results?: PgliteResults }
  | { id?: number; error: SerializedError }
  | { channel: string; payload: string };

/** `workerData` of the worker. */
export interface PgliteWorkerData {
  /** Without a folder the database is in memory. */
  folder?: string;
  /** Script that runs when the database is open. */
  setup: string;
}

export const BYTEA = 17;
/** `date`, `timestamp` and `timestamptz`: sent as text, which the main thread converts into dates. */
export const DATES: readonly number[] = [1082, 1114, 1184];
