import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { Logger } from '@nestjs/common';
import { isStorageFull, sleep } from '@yuxi/core';
import { type DiskSpace, ROOM_TO_START } from '../disk-space.js';
import { DatabaseUnavailableError, StorageFullError } from '../storage.errors.js';
import type { PgliteThreadData } from './pglite-orders.js';
import { type PgliteConnection, pgliteConnection } from './pglite-session.js';
import { PgliteError, PgliteWorker, ThreadLostError } from './pglite-worker.js';

const MB = 1024 * 1024;
const LOOK_EVERY = 1000;
/** With less room than two files of the write-ahead log PostgreSQL may stop in the middle of a statement, bytes. */
const NEXT_TO_NOTHING = 32 * MB;
/** Silence after which a thread is ended: on a disk with next to no room, and on any other, milliseconds. */
const SILENCE = { full: 5000, otherwise: 15 * 60_000 };
/** Files of the write-ahead log from which on a checkpoint makes most of them free, and the pause between two, milliseconds. */
const LOG_FILES = 6;
const CHECKPOINT_PAUSE = 30_000;

type Listener = (channel: string, payload: string) => void;

/**
 * Keeps one thread with an open PGlite, and opens another when it is lost: it ended, PostgreSQL gave up, or it does not answer. The last
 * is decided by {@link SILENCE}: PGlite loops for ever on a full disk, so that it is ended soon there; anywhere else a statement
 * may take long. Until there is a thread again, every call throws a {@link DatabaseUnavailableError}.
 */
export class PgliteSupervisor {
  readonly #logger = new Logger('Pglite');
  readonly #channels = new Map<string, () => void>();
  readonly #closing = new AbortController();
  readonly #watch: NodeJS.Timeout;
  readonly connection: PgliteConnection;
  /** Also one that is still opening. */
  #thread?: PgliteWorker;
  #open?: PgliteWorker;
  #away = 'it is not open yet';
  #notice: Listener = () => undefined;
  #checkpointed = Number.NEGATIVE_INFINITY;

  private constructor(
    private readonly data: PgliteThreadData,
    private readonly space?: DiskSpace,
  ) {
    this.connection = pgliteConnection(
      () => this.#current(),
      (error) => this.#explain(error),
    );
    this.#watch = setInterval(() => void this.#look(), LOOK_EVERY).unref();
  }

  /**
   * Opens the database.
   * @param space of the folder; without one the database is in memory, and lost with its thread
   * @throws {DatabaseUnavailableError} when it cannot be opened. {@link StorageFullError} when there is no room for that
   */
  static async open(data: PgliteThreadData, space?: DiskSpace): Promise<PgliteSupervisor> {
    const supervisor = new PgliteSupervisor(data, space);
    try {
      await supervisor.#begin();
      return supervisor;
    } catch (error) {
      clearInterval(supervisor.#watch);
      await space?.requireRoomToStart(error);
      throw error;
    }
  }

  /** Who hears what comes on the channels that are listened to. */
  onNotice(notice: Listener): void {
    this.#notice = notice;
  }

  /**
   * Listens to a channel, in each thread that there will be.
   * @param listening called each time that this begins
   */
  listen(channel: string, listening: () => void): void {
    this.#channels.set(channel, listening);
    if (this.#open) void this.#join(this.#open, channel);
  }

  async unlisten(channel: string): Promise<void> {
    this.#channels.delete(channel);
    await this.#open?.ask({ do: 'unlisten', channel }).catch(() => undefined);
  }

  async close(): Promise<void> {
    this.#closing.abort();
    clearInterval(this.#watch);
    this.#away = 'it is closed';
    const [open, thread] = [this.#open, this.#thread];
    this.#open = undefined;
    await (open ? open.close() : thread?.end(this.#away));
  }

  #current(): PgliteWorker {
    if (!this.#open) throw this.#unavailable(this.#away);
    return this.#open;
  }

  async #begin(): Promise<void> {
    const open = await PgliteWorker.open(this.data, (thread) => (this.#thread = thread));
    open.onNotice((channel, payload) => this.#notice(channel, payload));
    this.#open = open;
    void open.ended.then((reason) => this.#lost(reason));
    await Promise.all([...this.#channels.keys()].map((channel) => this.#join(open, channel)));
  }

  async #join(thread: PgliteWorker, channel: string): Promise<void> {
    try {
      await thread.ask({ do: 'listen', channel });
      this.#channels.get(channel)?.();
    } catch (error) {
      this.#logger.error(`cannot listen to ${channel}`, error);
    }
  }

  async #lost(reason: ThreadLostError): Promise<void> {
    if (this.#closing.signal.aborted) return;
    this.#open = undefined;
    this.#away = reason.message;
    this.#logger.error(`the embedded database is lost: ${reason.message}. It is opened again`);
    // In memory there is nothing to open again.
    if (this.data.folder === undefined) return;
    while (!this.#closing.signal.aborted) {
      await sleep(LOOK_EVERY, this.#closing.signal, true);
      if (this.#closing.signal.aborted || (this.space && (await this.space.look()) < ROOM_TO_START)) continue;
      try {
        await this.#begin();
        this.#logger.log('the embedded database answers again');
        return;
      } catch (error) {
        const { message } = error as Error;
        if (message !== this.#away)
          this.#logger.warn(`the embedded database cannot be opened: ${message}; trying again`);
        this.#away = message;
      }
    }
  }

  /** Ends a thread that stays silent, and keeps the write-ahead log short: PGlite makes no checkpoints by itself. */
  async #look(): Promise<void> {
    const thread = this.#thread;
    if (!thread) return;
    thread.ping();
    const silent = thread.silentFor;
    const full = this.space !== undefined && this.space.free < NEXT_TO_NOTHING;
    if (silent > (full ? SILENCE.full : SILENCE.otherwise)) {
      const where = full ? ' on a full disk' : '';
      await thread.end(`it did not answer for ${Math.round(silent / 1000)} s${where}`);
    } else if (this.data.folder !== undefined && silent === 0) await this.#checkpoint(this.data.folder);
  }

  async #checkpoint(folder: string): Promise<void> {
    if (performance.now() - this.#checkpointed < CHECKPOINT_PAUSE) return;
    const files = await readdir(join(folder, 'pg_wal')).catch(() => []);
    if (files.filter((name) => /^[0-9A-F]{24}$/.test(name)).length < LOG_FILES) return;
    this.#checkpointed = performance.now();
    await this.#open?.ask({ do: 'script', text: 'CHECKPOINT' }).catch(() => undefined);
  }

  #explain(error: unknown): unknown {
    if (error instanceof ThreadLostError) return this.#unavailable(error.message, error);
    if (!(error instanceof PgliteError)) return error;
    if (error.severity === 'PANIC' || error.severity === 'FATAL') return this.#unavailable(error.message, error);
    return isStorageFull(error) ? new StorageFullError(error.message, error) : error;
  }

  #unavailable(reason: string, cause?: unknown): DatabaseUnavailableError {
    return new DatabaseUnavailableError(this.data.folder ?? 'memory', reason, cause);
  }
}
