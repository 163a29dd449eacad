import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { Logger } from '@nestjs/common';
import { isStorageFull, monotonicMs, Periodic, sleep } from '@yuxi/core';
import { type DiskSpace, ROOM_TO_START } from '../disk-space.js';
import { DatabaseUnavailableError, StorageFullError } from '../storage.errors.js';
import type { PgliteWorkerData } from './pglite-protocol.js';
import { type PgliteConnection, pgliteConnection } from './pglite-session.js';
import { PgliteError, PgliteWorker, WorkerTerminatedError } from './pglite-worker.js';

const MB = 1024 * 1024;
const CHECK_INTERVAL_MS = 1000;
/** With less room than two files of the write-ahead log, PostgreSQL may stop inside a statement, bytes. */
const ALMOST_FULL = 32 * MB;
/** A worker without a response to a ping for this time is terminated: on a disk that is almost full, and on any other, milliseconds. */
const UNRESPONSIVE_LIMIT = { diskFull: 5000, otherwise: 15 * 60_000 };
/** With so many files of the write-ahead log a checkpoint frees most of them. */
const CHECKPOINT_LOG_FILES = 6;
const CHECKPOINT_PAUSE_MS = 30_000;

type NotificationHandler = (channel: string, payload: string) => void;

/**
 * Runs one worker with an open PGlite. It starts another worker when the thread ends, PostgreSQL fails, or it does not respond, see
 * {@link UNRESPONSIVE_LIMIT}. On a full disk PGlite never responds again, so there the limit is short. Elsewhere a statement may
 * take long. Without a worker every call throws a {@link DatabaseUnavailableError}.
 */
export class PgliteSupervisor {
  readonly #logger = new Logger('Pglite');
  readonly #channels = new Map<string, () => void>();
  readonly #closing = new AbortController();
  readonly #checks = new Periodic(() => this.#check(), { every: CHECK_INTERVAL_MS, jitter: 0 });
  readonly connection: PgliteConnection;
  /** The last worker that was started; its database may not be open yet. */
  #started?: PgliteWorker;
  #open?: PgliteWorker;
  #unavailableReason = 'it is not open yet';
  #onNotification: NotificationHandler = () => undefined;
  #checkpointAt = Number.NEGATIVE_INFINITY;

  private constructor(
    private readonly workerData: PgliteWorkerData,
    private readonly space?: DiskSpace,
  ) {
    this.connection = pgliteConnection(
      () => this.#worker(),
      (error) => this.#convertError(error),
    );
    this.#checks.start();
  }

  /**
   * Opens the database.
   * @param space of its folder; without one the database is in memory, and is lost with its worker
   * @throws {DatabaseUnavailableError} when it cannot be opened; {@link StorageFullError} when there is not enough room
   */
  static async open(workerData: PgliteWorkerData, space?: DiskSpace): Promise<PgliteSupervisor> {
    const supervisor = new PgliteSupervisor(workerData, space);
    try {
      await supervisor.#start();
      return supervisor;
    } catch (error) {
      void supervisor.#checks.stop();
      await space?.requireRoomToStart(error);
      throw error;
    }
  }

  /** @param handler receives the notifications on all channels */
  onNotification(handler: NotificationHandler): void {
    this.#onNotification = handler;
  }

  /**
   * Listens on a channel, in this worker and in all that follow.
   * @param onListening called each time that listening starts
   */
  listen(channel: string, onListening: () => void): void {
    this.#channels.set(channel, onListening);
    if (this.#open) void this.#subscribe(this.#open, channel);
  }

  async unlisten(channel: string): Promise<void> {
    this.#channels.delete(channel);
    await this.#open?.send({ type: 'unlisten', channel }).catch(() => undefined);
  }

  async close(): Promise<void> {
    this.#closing.abort();
    void this.#checks.stop();
    this.#unavailableReason = 'it is closed';
    const [open, started] = [this.#open, this.#started];
    this.#open = undefined;
    await (open ? open.close() : started?.terminate(this.#unavailableReason));
  }

  #worker(): PgliteWorker {
    if (!this.#open) throw this.#unavailable(this.#unavailableReason);
    return this.#open;
  }

  async #start(): Promise<void> {
    const worker = await PgliteWorker.open(this.workerData, (started) => (this.#started = started));
    worker.onNotification((channel, payload) => this.#onNotification(channel, payload));
    this.#open = worker;
    void worker.ended.then((reason) => this.#reopen(reason));
    await Promise.all([...this.#channels.keys()].map((channel) => this.#subscribe(worker, channel)));
  }

  async #subscribe(worker: PgliteWorker, channel: string): Promise<void> {
    try {
      await worker.send({ type: 'listen', channel });
      this.#channels.get(channel)?.();
    } catch (error) {
      this.#logger.error(`cannot listen to ${channel}`, error);
    }
  }

  async #reopen(reason: WorkerTerminatedError): Promise<void> {
    if (this.#closing.signal.aborted) return;
    this.#open = undefined;
    this.#unavailableReason = reason.message;
    this.#logger.error(`the embedded database is lost: ${reason.message}. It is opened again`);
    // A database in memory is lost with its worker.
    if (this.workerData.folder === undefined) return;
    while (!this.#closing.signal.aborted) {
      // Unlike a Periodic, this keeps the process running.
      await sleep(CHECK_INTERVAL_MS, this.#closing.signal, true);
      if (this.#closing.signal.aborted || (this.space && (await this.space.check()) < ROOM_TO_START)) continue;
      try {
        await this.#start();
        this.#logger.log('the embedded database answers again');
        return;
      } catch (error) {
        const { message } = error as Error;
        if (message !== this.#unavailableReason)
          this.#logger.warn(`the embedded database cannot be opened: ${message}; trying again`);
        this.#unavailableReason = message;
      }
    }
  }

  /** Terminates a worker that does not respond, and keeps the write-ahead log short: PGlite makes no checkpoints by itself. */
  #check(): void {
    const worker = this.#started;
    if (!worker) return;
    worker.ping();
    const { unresponsiveMs } = worker;
    const diskFull = this.space !== undefined && this.space.free < ALMOST_FULL;
    if (unresponsiveMs > (diskFull ? UNRESPONSIVE_LIMIT.diskFull : UNRESPONSIVE_LIMIT.otherwise)) {
      const where = diskFull ? ' on a full disk' : '';
      // Not awaited, like the checkpoint: what never ends must not stop these checks.
      void worker.terminate(`it did not answer for ${Math.round(unresponsiveMs / 1000)} s${where}`);
    } else if (this.workerData.folder !== undefined && unresponsiveMs === 0)
      void this.#checkpoint(this.workerData.folder);
  }

  async #checkpoint(folder: string): Promise<void> {
    if (monotonicMs() - this.#checkpointAt < CHECKPOINT_PAUSE_MS) return;
    const files = await readdir(join(folder, 'pg_wal')).catch(() => []);
    if (files.filter((name) => /^[0-9A-F]{24}$/.test(name)).length < CHECKPOINT_LOG_FILES) return;
    this.#checkpointAt = monotonicMs();
    await this.#open?.send({ type: 'script', text: 'CHECKPOINT' }).catch(() => undefined);
  }

  #convertError(error: unknown): unknown {
    if (error instanceof WorkerTerminatedError) return this.#unavailable(error.message, error);
    if (!(error instanceof PgliteError)) return error;
    if (error.severity === 'PANIC' || error.severity === 'FATAL') return this.#unavailable(error.message, error);
    return isStorageFull(error) ? new StorageFullError(error.message, error) : error;
  }

  #unavailable(reason: string, cause?: unknown): DatabaseUnavailableError {
    return new DatabaseUnavailableError(this.workerData.folder ?? 'memory', reason, cause);
  }
}
