export interface SqlResult<Row> {
  rows: Row[];
  /** Rows returned or changed. */
  rowCount: number;
}

export interface QueryOptions {
  /**
   * `once`: the server may keep the plan of a text with parameters for as long as the connection lives. `each`: it plans
   * anew for these values and the tables as they are now, for statements that read many rows. Default `once`.
   */
  plan?: 'once' | 'each';
  /** Longest wait for the answer, milliseconds; then the call throws and its connection is given up. Default none. */
  timeout?: number;
}

export interface TransactionOptions {
  /** Longest wait for the answer to each statement, milliseconds, begin and commit among them. Default none. */
  timeout?: number;
}

/**
 * What a library needs of a SQL database (PostgreSQL dialect, `$1` parameters).
 * The application binds {@link SQL_CLIENT} to its own pool, so that libraries carry no driver.
 */
export interface SqlClient {
  /** `json`/`jsonb` columns come back parsed; pass JSON parameters as text with a `::jsonb` cast. */
  query<Row extends object = Record<string, unknown>>(
    text: string,
    params?: readonly unknown[],
    options?: QueryOptions,
  ): Promise<SqlResult<Row>>;
  /**
   * Runs `body` in one transaction; a throw rolls back. The client handed in must be used inside. After a deadlock nothing of it is
   * left, and `body` runs again: what it does besides its statements must bear that.
   */
  transaction<T>(body: (tx: SqlClient) => Promise<T>, options?: TransactionOptions): Promise<T>;
  /** How other threads of this process reach the database; absent where it has one connection only. */
  readonly threads?: SqlThreadSource;
}

/** A way to the database for a thread, which shares no connection with the others. */
export interface SqlThreadSource {
  /** File of a module that exports `open(data): Promise<SqlThreadClient>`. */
  module: string;
  /** What `open` needs; can be cloned. Holds the password. */
  data: unknown;
}

/** One connection, for the statements of a thread one after the other. */
export interface SqlThreadClient extends Pick<SqlClient, 'query'> {
  /** Never rejects. */
  close(): Promise<void>;
}

/** Injection token of the {@link SqlClient}. */
export const SQL_CLIENT = Symbol.for('@yuxi/core:SqlClient');

export interface SqlListener {
  /** What a `NOTIFY` on the channel carried. */
  message(payload: string): void;
  /** Listening from now on, at first and after each interruption: what was sent before may be lost. */
  listening(): void;
}

/** Notices that the database passes on between its clients when a transaction commits (`LISTEN` and `NOTIFY`). */
export interface SqlNotifications {
  /**
   * Listens until the answer is called, however often the connection is lost.
   * @param channel letters, digits and underscores
   */
  listen(channel: string, listener: SqlListener): () => Promise<void>;
}

/** Injection token of the {@link SqlNotifications}; an application may have none. */
export const SQL_NOTIFICATIONS = Symbol.for('@yuxi/core:SqlNotifications');

/** One step of a schema, owned by the library whose tables it makes. Applied once, in the order given. */
export interface Migration {
  /** `<lib>/<number>-<what>`, unique for ever. */
  id: string;
  sql: string;
  /**
   * Extension of the database that this step needs. Where it cannot be had the step is left out, and tried again by the next
   * process that starts; steps after it must not depend on it.
   */
  extension?: string;
}
