import { createRequire } from 'node:module';
import { type TransferListItem, Worker } from 'node:worker_threads';
import { monotonicMs, within } from '@yuxi/core';
import {
  type PgliteNews,
  type PgliteOrder,
  type PgliteRequest,
  type PgliteResults,
  type PgliteThreadData,
  type ToldError,
} from './pglite-orders.js';

/** What it takes to write everything to disk; a thread that is inside a statement for longer is ended as it is, milliseconds. */
const CLOSE_WITHIN = 2000;

type Waiting = { resolve: (results: PgliteResults | undefined) => void; reject: (error: Error) => void };

/** An error that PostgreSQL itself stated in the thread; `code` is its SQLSTATE. */
export class PgliteError extends Error {
  readonly code?: string;
  readonly severity?: string;

  constructor({ message, ...fields }: ToldError) {
    super(message);
    this.name = 'PgliteError';
    Object.assign(this, fields);
  }
}

/** The thread is no more; what it was asked last may have been done. */
export class ThreadLostError extends Error {}

/**
 * One thread with an open PGlite. It keeps the process running only while somebody waits for it. When the thread ends, or PostgreSQL
 * gives itself up, all who wait are told so, and so is {@link ended}.
 */
export class PgliteWorker {
  readonly #worker: Worker;
  readonly #waiting = new Map<number, Waiting>();
  #last = 0;
  #transactions = 0;
  #end?: ThreadLostError;
  #pinged?: number;
  /** Resolves with the reason when it cannot be used any more. */
  readonly ended: Promise<ThreadLostError>;
  #tellEnd!: (error: ThreadLostError) => void;
  #heard: (channel: string, payload: string) => void = () => undefined;

  private constructor(data: PgliteThreadData) {
    this.ended = new Promise((resolve) => (this.#tellEnd = resolve));
    this.#worker = new Worker(
      // By the name of the package, so that tests, which run the sources, find the compiled thread too.
      createRequire(import.meta.url).resolve('@yuxi/storage/pglite-thread'),
      { workerData: data, name: 'pglite' },
    );
    this.#worker.on('error', (error) => this.#over(error.message));
    this.#worker.on('exit', () => this.#over('its thread has ended'));
  }

  /**
   * Opens the database.
   * @param begun gets the thread that opens it, so that it can be ended
   * @throws what PGlite says
   */
  static async open(data: PgliteThreadData, begun: (thread: PgliteWorker) => void = () => undefined) {
    const thread = new PgliteWorker(data);
    begun(thread);
    const { promise } = thread.#await(0);
    thread.#worker.on('message', (news: PgliteNews) => thread.#hear(news));
    try {
      await promise;
    } catch (error) {
      await thread.end((error as Error).message);
      throw error;
    }
    return thread;
  }

  /** How long the thread has not answered although it was asked to, milliseconds. */
  get silentFor(): number {
    return this.#pinged === undefined ? 0 : monotonicMs() - this.#pinged;
  }

  /** @param heard what comes on the channels that are listened to */
  onNotice(heard: (channel: string, payload: string) => void): void {
    this.#heard = heard;
  }

  /** A number for the `tx` of orders. */
  nextTransaction(): number {
    return ++this.#transactions;
  }

  /** @param contents are handed over: the caller has them no more */
  ask(order: PgliteOrder, contents: readonly TransferListItem[] = []): Promise<PgliteResults | undefined> {
    if (this.#end) return Promise.reject(this.#end);
    const { id, promise } = this.#await(++this.#last);
    try {
      this.#worker.postMessage({ id, order } satisfies PgliteRequest, contents);
    } catch (error) {
      // A value that no other thread can get, e.g. a function.
      this.#settle(id)?.reject(error as Error);
    }
    return promise;
  }

  /** Asks for a sign of life where somebody waits; see {@link silentFor}. */
  ping(): void {
    if (this.#pinged !== undefined || this.#waiting.size === 0) return;
    this.#pinged = monotonicMs();
    // An opening thread hears it later, and answers then.
    this.ask({ do: 'ping' }).then(
      () => (this.#pinged = undefined),
      () => undefined,
    );
  }

  /** Writes everything to disk and ends the thread. Never rejects. */
  async close(): Promise<void> {
    const closed = this.ask({ do: 'close' });
    await within(CLOSE_WITHIN, closed, () => new Error('late')).catch(() => undefined);
    await this.end('it is closed');
  }

  /** Ends the thread wherever it is, also in a loop. What it has committed is in the files. */
  async end(reason: string): Promise<void> {
    this.#over(reason);
    await this.#worker.terminate();
  }

  #await(id: number): { id: number; promise: Promise<PgliteResults | undefined> } {
    if (this.#waiting.size === 0) this.#worker.ref();
    const promise = new Promise<PgliteResults | undefined>((resolve, reject) =>
      this.#waiting.set(id, { resolve, reject }),
    );
    return { id, promise };
  }

  #settle(id: number): Waiting | undefined {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (this.#waiting.size === 0) this.#worker.unref();
    return waiting;
  }

  #hear(news: PgliteNews): void {
    if ('channel' in news) return this.#heard(news.channel, news.payload);
    if ('opened' in news) return this.#settle(0)?.resolve(undefined);
    if (!('error' in news)) return this.#settle(news.id)?.resolve(news.results);
    const error = new PgliteError(news.error);
    this.#settle(news.id ?? 0)?.reject(error);
    // PostgreSQL does not go on after this: its next statement would loop for ever.
    if (error.severity === 'PANIC' || error.severity === 'FATAL') void this.end(error.message);
  }

  #over(reason: string): void {
    if (this.#end) return;
    const lost = (this.#end = new ThreadLostError(reason));
    for (const { reject } of this.#waiting.values()) reject(lost);
    this.#waiting.clear();
    this.#worker.unref();
    this.#tellEnd(lost);
  }
}
