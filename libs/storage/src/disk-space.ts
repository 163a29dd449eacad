import { statfs } from 'node:fs/promises';
import { Logger } from '@nestjs/common';
import { OptionsError } from '@yuxi/core';
import { StorageFullError } from './storage.errors.js';

const MB = 1024 * 1024;
/** Bounds of the reserve where none is given: a tenth of the file system, but not less and not more, bytes. */
const RESERVE = { least: 64 * MB, most: 256 * MB };
/** What the embedded database needs to start, and the smallest reserve that can be given, bytes: a file of its log, and a checkpoint. */
export const ROOM_TO_START = 48 * MB;
const LOOK_EVERY = 1000;
/** What is stored takes room twice at first: in the write-ahead log and in its table. */
const FACTOR = 2;

const megabytes = (bytes: number) => Math.floor(bytes / MB);
const nothing = () => undefined;

/** Whether there is room for what is about to be stored. */
export interface StorageSpace {
  /** Nothing new is taken at present: readiness says so. */
  readonly full: boolean;
  /**
   * Asks for room for `bytes` (default 0: whether anything may be stored at all), before they are stored.
   * @returns to be called when they are stored, or not going to be
   * @throws {StorageFullError} when there is none
   */
  take(bytes?: number): Promise<() => void>;
}

/** Injection token of the {@link StorageSpace}. */
export const STORAGE_SPACE = Symbol.for('@yuxi/storage:Space');

/** Watches how much room the file system of a folder has, so that new content is refused before the disk is full. */
export class DiskSpace implements StorageSpace {
  readonly #logger = new Logger('DiskSpace');
  readonly #timer: NodeJS.Timeout;
  /** Bytes that are being stored. */
  #taken = 0;
  #free = Number.POSITIVE_INFINITY;
  #reserve: number;
  #told = false;

  /** @param minFree bytes to be left for everything else that is written; see {@link RESERVE} */
  constructor(
    readonly folder: string,
    private readonly minFree?: number,
  ) {
    if (minFree !== undefined && !(Number.isInteger(minFree) && minFree >= ROOM_TO_START))
      throw new OptionsError('minFree', `a whole number of bytes, ${ROOM_TO_START} or more`, minFree);
    this.#reserve = minFree ?? RESERVE.most;
    this.#timer = setInterval(() => void this.look(), LOOK_EVERY).unref();
  }

  /** Bytes that were free at the last look. */
  get free(): number {
    return this.#free;
  }

  get full(): boolean {
    return this.#free < this.#reserve;
  }

  async take(bytes = 0): Promise<() => void> {
    await this.look();
    if (this.#free - FACTOR * (this.#taken + bytes) < this.#reserve) throw this.#refusal();
    this.#taken += bytes;
    let given = false;
    return () => {
      if (!given) this.#taken -= bytes;
      given = true;
    };
  }

  /** Looks now. @returns bytes that are free */
  async look(): Promise<number> {
    try {
      const { bavail, bsize, blocks } = await statfs(this.folder);
      this.#free = bavail * bsize;
      this.#reserve = this.minFree ?? Math.min(RESERVE.most, Math.max(RESERVE.least, (blocks * bsize) / 10));
    } catch {
      // The folder cannot be asked: whoever writes to it says why.
      this.#free = Number.POSITIVE_INFINITY;
    }
    this.#tell();
    return this.#free;
  }

  /** @throws {StorageFullError} when the embedded database cannot be opened for want of room */
  async requireRoomToStart(cause?: unknown): Promise<void> {
    if ((await this.look()) < ROOM_TO_START)
      throw new StorageFullError(
        `${megabytes(this.#free)} MB are free in ${this.folder}, ${megabytes(ROOM_TO_START)} MB are needed to start`,
        cause,
      );
  }

  close(): void {
    clearInterval(this.#timer);
  }

  #refusal(): StorageFullError {
    return new StorageFullError(
      `${megabytes(this.#free)} MB are free and ${megabytes(this.#reserve)} MB are kept in reserve`,
    );
  }

  #tell(): void {
    if (this.full === this.#told) return;
    this.#told = this.full;
    const left = `the file system of ${this.folder} has ${megabytes(this.#free)} MB left`;
    if (this.full)
      this.#logger.error(
        `${left}: nothing new is stored until there are ${megabytes(this.#reserve)} MB. Make room there, or give it more`,
      );
    else this.#logger.log(`${left}: content is stored again`);
  }
}

/** Of a database whose disk is not ours to look at: it says itself when it has no room, and that counts for a while. */
export class ReportedSpace implements StorageSpace {
  #until = 0;

  /** @param lasts milliseconds */
  constructor(private readonly lasts = 10_000) {}

  get full(): boolean {
    return performance.now() < this.#until;
  }

  /** The database had no room. */
  report(): void {
    this.#until = performance.now() + this.lasts;
  }

  /** Never refuses: each try shows whether there is room again. */
  take(): Promise<() => void> {
    return Promise.resolve(nothing);
  }
}
