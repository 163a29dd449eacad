import { OptionsError } from '@yuxi/core';
import { SpoolSpaceError } from '../storage.errors.js';

const MEBIBYTE = 1024 * 1024;

export interface SpoolSpaceOptions {
  /** Most bytes that the open spools together may have in temporary files. Default 512 MiB. */
  total?: number;
  /** Most bytes of these for one owner, so that one owner cannot use all of them. Default three quarters of `total`. */
  perOwner?: number;
  /** Bytes in memory above which small contents are also written to temporary files. Default 32 MiB. */
  memory?: number;
}

/** Limits what the contents that are received at the same time use together. Counts the bytes received, not those announced. */
export class SpoolSpace {
  readonly #total: number;
  readonly #perOwner: number;
  readonly #memory: number;
  readonly #owners = new Map<string, number>();
  #inMemory = 0;
  #inFiles = 0;

  constructor({ total = 512 * MEBIBYTE, perOwner = total * 0.75, memory = 32 * MEBIBYTE }: SpoolSpaceOptions = {}) {
    for (const [option, value] of Object.entries({ total, perOwner, memory }))
      if (!(value >= 0)) throw new OptionsError(option, 'a number of bytes', value, 'SpoolSpace');
    this.#total = total;
    this.#perOwner = perOwner;
    this.#memory = memory;
  }

  /** Bytes in temporary files. */
  get used(): number {
    return this.#inFiles;
  }

  /** @param owner of the content, for example a user; without one only the total is limited */
  open(owner?: string): SpoolAllocation {
    return new SpoolAllocation(this, owner);
  }

  /** For a {@link SpoolAllocation}. */
  get isMemoryFull(): boolean {
    return this.#inMemory > this.#memory;
  }

  /** For a {@link SpoolAllocation}. */
  countMemory(bytes: number): void {
    this.#inMemory += bytes;
  }

  /** For a {@link SpoolAllocation}. */
  countFile(bytes: number, owner: string | undefined): void {
    const own = owner === undefined ? 0 : (this.#owners.get(owner) ?? 0) + bytes;
    if (bytes > 0 && (this.#inFiles + bytes > this.#total || own > this.#perOwner)) throw new SpoolSpaceError();
    this.#inFiles += bytes;
    if (owner === undefined) return;
    if (own > 0) this.#owners.set(owner, own);
    else this.#owners.delete(owner);
  }
}

/** What one content uses of a {@link SpoolSpace}. */
export class SpoolAllocation {
  #inMemory = 0;
  #inFile = 0;

  constructor(
    private readonly space: SpoolSpace,
    private readonly owner: string | undefined,
  ) {}

  /** Whether all contents together use so much memory that a small one should also go to a file. */
  get isMemoryFull(): boolean {
    return this.space.isMemoryFull;
  }

  addMemory(bytes: number): void {
    this.#inMemory += bytes;
    this.space.countMemory(bytes);
  }

  /**
   * Counts all bytes in memory as bytes in the file.
   * @throws {SpoolSpaceError}
   */
  moveToFile(): void {
    this.space.countFile(this.#inMemory, this.owner);
    this.#inFile += this.#inMemory;
    this.addMemory(-this.#inMemory);
  }

  close(): void {
    this.addMemory(-this.#inMemory);
    this.space.countFile(-this.#inFile, this.owner);
    this.#inFile = 0;
  }
}
