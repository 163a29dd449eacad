import type { Results } from '@electric-sql/pglite';

/** What a statement answers. */
export type PgliteResults = Pick<Results<Record<string, unknown>>, 'rows' | 'fields' | 'affectedRows'>;

export interface StatementOrder {
  text: string;
  params?: readonly unknown[];
  rowMode?: 'array' | 'object';
  /** Types (OID) whose values stay text, because the caller reads them itself. */
  asText?: readonly number[];
  /** Number of an open transaction; without one the statement waits until none is open. */
  tx?: number;
}

/** What the thread of PGlite is asked to do. Orders begin in the order in which they are sent, and each is answered once. */
export type PgliteOrder =
  | ({ do: 'query' } & StatementOrder)
  | ({ do: 'script' } & StatementOrder)
  | { do: 'begin' | 'commit' | 'rollback'; tx: number }
  | { do: 'listen' | 'unlisten'; channel: string }
  /** Answered at once by a thread that is not inside a statement. */
  | { do: 'ping' | 'close' };

export interface PgliteRequest {
  id: number;
  order: PgliteOrder;
}

/** What PostgreSQL says of an error; the class of it does not get from one thread into another. */
export const ERROR_FIELDS = [
  'severity', 'code', 'detail', 'hint', 'position', 'internalPosition', 'internalQuery', 'where', 'schema', 'table', 'column',
  'dataType', 'constraint', 'file', 'line', 'routine',
] as const; // prettier-ignore

export type ToldError = { message: string } & Partial<Record<(typeof ERROR_FIELDS)[number], string>>;

/** What the thread tells: that it is open, the answer to a request, or what came on a channel that is listened to. */
export type PgliteNews =
  | { opened: true }
  | { id: number; results?: PgliteResults }
  | { id?: number; error: ToldError }
  | { channel: string; payload: string };

/** What the thread is started with. */
export interface PgliteThreadData {
  /** Without one the database is in memory. */
  folder?: string;
  /** Run when the database is open. */
  setup: string;
}

export const BYTEA = 17;
/** `date`, `timestamp` and `timestamptz`: they cross as text, and the main thread makes dates of them. */
export const DATES: readonly number[] = [1082, 1114, 1184];
