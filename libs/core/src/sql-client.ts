export interface SqlResult<Row> {
  rows: Row[];
  /** Rows returned or changed. */
  rowCount: number;
}

export interface QueryOptions {
  /**
   * `once`: the server may keep the plan of a text with parameters as long as the connection is open. `each`: the server
   * makes a new plan for these values and the current tables; for statements that read many rows. Default `once`.
   */
  plan?: 'once' | 'each';
  /** Longest wait for the answer, milliseconds; then the call throws and its connection is closed. Default: no limit. */
  timeout?: number;
}

export interface TransactionOptions {
  /** Longest wait for the answer to each statement, begin and commit included, milliseconds. Default: no limit. */
  timeout?: number;
}

/**
 * The port through which a library uses a SQL database (PostgreSQL dialect, `$1` parameters).
 * The application binds {@link SQL_CLIENT} to its own pool, so that libraries contain no driver.
 */
export interface SqlClient {
  /** `json` and `jsonb` columns are returned parsed. Pass JSON parameters as text with a `::jsonb` cast. */
  query<Row extends object = Record<string, unknown>>(
    text: string,
    params?: readonly unknown[],
    options?: QueryOptions,
  ): Promise<SqlResult<Row>>;
  /**
   * Runs `body` in one transaction; an error rolls it back. Inside, use the client that `body` receives, and no other.
   * A deadlock rolls the transaction back, and `body` runs again. So its effects outside the database must be repeatable.
   */
  transaction<T>(body: (tx: SqlClient) => Promise<T>, options?: TransactionOptions): Promise<T>;
  /** How other threads of this process connect to the database; absent when it has one connection only. */
  readonly threads?: SqlThreadSource;
}

/** How a thread opens a connection of its own. */
export interface SqlThreadSource {
  /** File of a module that exports `open(data): Promise<SqlThreadClient>`. */
  module: string;
  /** Argument of `open`; can be cloned to a thread. Contains the password. */
  data: unknown;
}

/** One connection, which runs the statements of a thread one after the other. */
export interface SqlThreadClient extends Pick<SqlClient, 'query'> {
  /** Never rejects. */
  close(): Promise<void>;
}

/** Injection token of the {@link SqlClient}. */
export const SQL_CLIENT = Symbol.for('@yuxi/core:SqlClient');

export interface SqlListener {
  /** Receives the payload of each `NOTIFY` on the channel. */
  message(payload: string): void;
  /** Called when listening starts, at first and after each interruption. Earlier notifications may be lost. */
  listening(): void;
}

/** Notifications that the database sends to its clients when a transaction commits (`LISTEN` and `NOTIFY`). */
export interface SqlNotifications {
  /**
   * Listens until the returned function is called; a lost connection is opened again.
   * @param channel letters, digits and underscores
   */
  listen(channel: string, listener: SqlListener): () => Promise<void>;
}

/** Injection token of the {@link SqlNotifications}; an application may have none. */
export const SQL_NOTIFICATIONS = Symbol.for('@yuxi/core:SqlNotifications');

/** One step of a schema. It belongs to the library whose tables it creates. Applied once, in the order given. */
export interface Migration {
  /** `<lib>/<number>-<what>`; must never be used again. */
  id: string;
  sql: string;
  /**
   * Extension of PostgreSQL that this step needs. When it is not available, the step is skipped, and the next process that
   * starts tries again. Later steps must not depend on it.
   */
  extension?: string;
}
