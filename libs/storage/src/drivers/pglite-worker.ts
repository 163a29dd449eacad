import { createRequire } from 'node:module';
import { type TransferListItem, Worker } from 'node:worker_threads';
import { monotonicMs, within } from '@yuxi/core';
import type {
  PgliteCommand,
  PgliteMessage,
  PgliteRequest,
  PgliteResults,
  PgliteWorkerData,
  SerializedError,
} from './pglite-protocol.js';

/** Time to write everything to disk. A worker that is still inside a statement after that is terminated. */
const CLOSE_TIMEOUT_MS = 2000;

type PendingRequest = { resolve: (results: PgliteResults | undefined) => void; reject: (error: Error) => void };

/** An error of PostgreSQL in the worker; `code` is its SQLSTATE. */
export class PgliteError extends Error {
  readonly code?: string;
  readonly severity?: string;

  constructor({ message, ...fields }: SerializedError) {
    super(message);
    this.name = 'PgliteError';
    Object.assign(this, fields);
  }
}

/** The worker has ended. Its last command may have been executed. */
export class WorkerTerminatedError extends Error {}

/**
 * One worker thread with an open PGlite. It keeps the process running only while requests are pending. When the thread ends, or
 * PostgreSQL in it fails, all pending requests are rejected, and {@link ended} resolves.
 */
export class PgliteWorker {
  readonly #worker: Worker;
  readonly #pending = new Map<number, PendingRequest>();
  #lastId = 0;
  #lastTransaction = 0;
  #error?: WorkerTerminatedError;
  #pingSentAt?: number;
  /** Resolves with the reason when the worker cannot be used any more. */
  readonly ended: Promise<WorkerTerminatedError>;
  #resolveEnded!: (error: WorkerTerminatedError) => void;
  #onNotification: (channel: string, payload: string) => void = () => undefined;

  private constructor(workerData: PgliteWorkerData) {
    this.ended = new Promise((resolve) => (this.#resolveEnded = resolve));
    this.#worker = new Worker(
      // Resolved by package name, so that tests, which run the sources, use the compiled file.
      createRequire(import.meta.url).resolve('@yuxi/storage/pglite-thread'),
      { workerData, name: 'pglite' },
    );
    this.#worker.on('error', (error) => this.#end(error.message));
    this.#worker.on('exit', () => this.#end('its thread has ended'));
  }

  /**
   * Starts a worker and opens the database in it.
   * @param onStart receives the worker before the database is open, so that it can be terminated
   * @throws the error of PGlite
   */
  static async open(workerData: PgliteWorkerData, onStart: (worker: PgliteWorker) => void = () => undefined) {
    const worker = new PgliteWorker(workerData);
    onStart(worker);
    const { promise } = worker.#expectResponse(0);
    worker.#worker.on('message', (message: PgliteMessage) => worker.#onMessage(message));
    try {
      await promise;
    } catch (error) {
      await worker.terminate((error as Error).message);
      throw error;
    }
    return worker;
  }

  /** Milliseconds since the oldest ping without a response. */
  get unresponsiveMs(): number {
    return this.#pingSentAt === undefined ? 0 : monotonicMs() - this.#pingSentAt;
  }

  onNotification(handler: (channel: string, payload: string) => void): void {
    this.#onNotification = handler;
  }

  /** A number for the `tx` of commands. */
  nextTransaction(): number {
    return ++this.#lastTransaction;
  }

  /** @param transferList memory that moves to the worker; the caller cannot use it afterwards */
  send(command: PgliteCommand, transferList: readonly TransferListItem[] = []): Promise<PgliteResults | undefined> {
    if (this.#error) return Promise.reject(this.#error);
    const { id, promise } = this.#expectResponse(++this.#lastId);
    try {
      this.#worker.postMessage({ id, command } satisfies PgliteRequest, transferList);
    } catch (error) {
      // A value that cannot be cloned, for example a function.
      this.#takePending(id)?.reject(error as Error);
    }
    return promise;
  }

  /** Sends a ping while requests are pending; see {@link unresponsiveMs}. */
  ping(): void {
    if (this.#pingSentAt !== undefined || this.#pending.size === 0) return;
    this.#pingSentAt = monotonicMs();
    // A worker that is still opening the database responds afterwards.
    this.send({ type: 'ping' }).then(
      () => (this.#pingSentAt = undefined),
      () => undefined,
    );
  }

  /** Writes everything to disk and ends the thread. Never rejects. */
  async close(): Promise<void> {
    const closed = this.send({ type: 'close' });
    await within(CLOSE_TIMEOUT_MS, closed, () => new Error('timeout')).catch(() => undefined);
    await this.terminate('it is closed');
  }

  /** Ends the thread at once, also inside a loop. Committed data is in the files. */
  async terminate(reason: string): Promise<void> {
    this.#end(reason);
    await this.#worker.terminate();
  }

  #expectResponse(id: number): { id: number; promise: Promise<PgliteResults | undefined> } {
    if (this.#pending.size === 0) this.#worker.ref();
    const promise = new Promise<PgliteResults | undefined>((resolve, reject) =>
      this.#pending.set(id, { resolve, reject }),
    );
    return { id, promise };
  }

  #takePending(id: number): PendingRequest | undefined {
    const pending = this.#pending.get(id);
    this.#pending.delete(id);
    if (this.#pending.size === 0) this.#worker.unref();
    return pending;
  }

  #onMessage(message: PgliteMessage): void {
    if ('channel' in message) return this.#onNotification(message.channel, message.payload);
    if ('opened' in message) return this.#takePending(0)?.resolve(undefined);
    if (!('error' in message)) return this.#takePending(message.id)?.resolve(message.results);
    const error = new PgliteError(message.error);
    this.#takePending(message.id ?? 0)?.reject(error);
    // PostgreSQL cannot continue after these: its next statement would never end.
    if (error.severity === 'PANIC' || error.severity === 'FATAL') void this.terminate(error.message);
  }

  #end(reason: string): void {
    if (this.#error) return;
    const error = (this.#error = new WorkerTerminatedError(reason));
    for (const { reject } of this.#pending.values()) reject(error);
    this.#pending.clear();
    this.#worker.unref();
    this.#resolveEnded(error);
  }
}
