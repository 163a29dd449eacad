import { statfs } from 'node:fs/promises';
import { Logger } from '@nestjs/common';
import { integerOption, monotonicMs, Periodic } from '@yuxi/core';
import { StorageFullError } from './storage.errors.js';

const MB = 1024 * 1024;
/** Without the option `minFree`: a tenth of the file system, within these bounds, bytes. */
const DEFAULT_MIN_FREE = { min: 64 * MB, max: 256 * MB };
/** What the embedded database needs to start, and the smallest `minFree`, bytes: a file of its log, and a checkpoint. */
export const ROOM_TO_START = 48 * MB;
const CHECK_INTERVAL_MS = 1000;
/** New content is written twice at first: to the write-ahead log and to its table. */
const WRITE_FACTOR = 2;

const megabytes = (bytes: number) => Math.floor(bytes / MB);
const nothing = () => undefined;

/** Whether there is room for new content. */
export interface StorageSpace {
  /** Whether new content is refused now; readiness reports it. */
  readonly full: boolean;
  /**
   * Reserves room for `bytes` before they are stored. Default 0: only checks whether anything may be stored.
   * @returns a function to call when they are stored, or will not be
   * @throws {StorageFullError} when there is no room
   */
  reserve(bytes?: number): Promise<() => void>;
}

/** Injection token of the {@link StorageSpace}. */
export const STORAGE_SPACE = Symbol.for('@yuxi/storage:Space');

/** Checks how much room the file system of a folder has, so that new content is refused before the disk is full. */
export class DiskSpace implements StorageSpace {
  readonly #logger = new Logger('DiskSpace');
  readonly #checks = new Periodic(() => this.check(), { every: CHECK_INTERVAL_MS, jitter: 0 });
  /** Bytes that are being stored. */
  #reserved = 0;
  #free = Number.POSITIVE_INFINITY;
  #minFree: number;
  #loggedFull = false;

  /** @param fixedMinFree bytes that stay free for everything else that is written; see {@link DEFAULT_MIN_FREE} */
  constructor(
    readonly folder: string,
    private readonly fixedMinFree?: number,
  ) {
    if (fixedMinFree !== undefined) integerOption('minFree', fixedMinFree, { min: ROOM_TO_START });
    this.#minFree = fixedMinFree ?? DEFAULT_MIN_FREE.max;
    this.#checks.start();
  }

  /** Bytes that were free at the last check. */
  get free(): number {
    return this.#free;
  }

  get full(): boolean {
    return this.#free < this.#minFree;
  }

  async reserve(bytes = 0): Promise<() => void> {
    await this.check();
    if (this.#free - WRITE_FACTOR * (this.#reserved + bytes) < this.#minFree)
      throw new StorageFullError(
        `${megabytes(this.#free)} MB are free and ${megabytes(this.#minFree)} MB are kept in reserve`,
      );
    this.#reserved += bytes;
    let released = false;
    return () => {
      if (!released) this.#reserved -= bytes;
      released = true;
    };
  }

  /** @returns bytes that are free now */
  async check(): Promise<number> {
    try {
      const { bavail, bsize, blocks } = await statfs(this.folder);
      const { min, max } = DEFAULT_MIN_FREE;
      this.#free = bavail * bsize;
      this.#minFree = this.fixedMinFree ?? Math.min(max, Math.max(min, (blocks * bsize) / 10));
    } catch {
      // The next write to the folder fails with the reason.
      this.#free = Number.POSITIVE_INFINITY;
    }
    this.#logChange();
    return this.#free;
  }

  /** @throws {StorageFullError} when there is not enough room to open the embedded database */
  async requireRoomToStart(cause?: unknown): Promise<void> {
    if ((await this.check()) < ROOM_TO_START)
      throw new StorageFullError(
        `${megabytes(this.#free)} MB are free in ${this.folder}, ${megabytes(ROOM_TO_START)} MB are needed to start`,
        cause,
      );
  }

  close(): void {
    void this.#checks.stop();
  }

  #logChange(): void {
    if (this.full === this.#loggedFull) return;
    this.#loggedFull = this.full;
    const free = `the file system of ${this.folder} has ${megabytes(this.#free)} MB left`;
    if (this.full)
      this.#logger.error(
        `${free}: new content is refused until there are ${megabytes(this.#minFree)} MB. Delete files there, or use a larger disk`,
      );
    else this.#logger.log(`${free}: new content is stored again`);
  }
}

/** For a database server, whose disk this process cannot check. After an error "disk full" it counts as full for a while. */
export class ReportedSpace implements StorageSpace {
  #fullUntil = 0;

  /** @param duration milliseconds */
  constructor(private readonly duration = 10_000) {}

  get full(): boolean {
    return monotonicMs() < this.#fullUntil;
  }

  /** To be called when the database had no room. */
  report(): void {
    this.#fullUntil = monotonicMs() + this.duration;
  }

  /** Never refuses: only a new attempt shows whether there is room again. */
  reserve(): Promise<() => void> {
    return Promise.resolve(nothing);
  }
}
