import { execFileSync } from 'node:child_process';
import { closeSync, openSync, rmSync, statfsSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { temporaryFolder } from '@yuxi/testing';

export const MB = 1024 * 1024;
const PIECE = Buffer.alloc(MB);

/** A small file system in memory, which can be filled. */
export class SmallDisk {
  readonly folder: string;
  readonly #ballast: string;

  private constructor(megabytes: number) {
    this.folder = temporaryFolder('disk');
    this.#ballast = join(this.folder, 'ballast');
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${megabytes}m`, 'tmpfs', this.folder], { stdio: 'pipe' });
    process.once('exit', this.#unmount);
  }

  /** Needs root. @returns undefined when no file system can be mounted */
  static make(megabytes: number): SmallDisk | undefined {
    try {
      return new SmallDisk(megabytes);
    } catch {
      return undefined;
    }
  }

  /** Free bytes. */
  get free(): number {
    const { bavail, bsize } = statfsSync(this.folder);
    return bavail * bsize;
  }

  /** Fills the disk up to `megabytes` free, or fewer when other processes write at the same time. */
  fill(megabytes: number): void {
    const file = openSync(this.#ballast, 'a');
    try {
      while (this.free > megabytes * MB) writeSync(file, PIECE, 0, Math.min(MB, this.free - megabytes * MB));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
    } finally {
      closeSync(file);
    }
  }

  /** Deletes what {@link fill} wrote. */
  makeRoom(): void {
    rmSync(this.#ballast, { force: true });
  }

  /** Open files keep it until they are closed. */
  remove(): void {
    process.off('exit', this.#unmount);
    this.#unmount();
  }

  readonly #unmount = () => {
    execFileSync('umount', ['--lazy', this.folder], { stdio: 'pipe' });
  };
}
