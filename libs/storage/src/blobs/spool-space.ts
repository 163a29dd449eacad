import { OptionsError } from '@yuxi/core';
import { SpoolSpaceError } from '../storage.errors.js';

const MEBIBYTE = 1024 * 1024;

export interface SpoolSpaceOptions {
  /** Bytes that all contents under way may take in the folder for temporary files. Default 512 MiB. */
  total?: number;
  /** Bytes of these that one owner may take, so that nobody fills it alone. Default three quarters of `total`. */
  perOwner?: number;
  /** Bytes in memory beyond which small contents go to temporary files, too. Default 32 MiB. */
  memory?: number;
}

/** What contents that are received at the same time may take together. It counts bytes that came, not bytes announced. */
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

  /** @param owner of the content, e.g. a user; none counts only into the total */
  open(owner?: string): SpoolShare {
    return new SpoolShare(this, owner);
  }

  /** For a {@link SpoolShare}. */
  get isCrowded(): boolean {
    return this.#inMemory > this.#memory;
  }

  /** For a {@link SpoolShare}. */
  countMemory(bytes: number): void {
    this.#inMemory += bytes;
  }

  /** For a {@link SpoolShare}. */
  countFile(bytes: number, owner: string | undefined): void {
    const own = owner === undefined ? 0 : (this.#owners.get(owner) ?? 0) + bytes;
    if (bytes > 0 && (this.#inFiles + bytes > this.#total || own > this.#perOwner)) throw new SpoolSpaceError();
    this.#inFiles += bytes;
    if (owner === undefined) return;
    if (own > 0) this.#owners.set(owner, own);
    else this.#owners.delete(owner);
  }
}

/** The part of one content. */
export class SpoolShare {
  #inMemory = 0;
  #inFile = 0;

  constructor(
    private readonly space: SpoolSpace,
    private readonly owner: string | undefined,
  ) {}

  /** Whether the memory is wanted by many, so that even a small content should not wait there. */
  get isCrowded(): boolean {
    return this.space.isCrowded;
  }

  holdInMemory(bytes: number): void {
    this.#inMemory += bytes;
    this.space.countMemory(bytes);
  }

  /**
   * All that is held in memory goes to the file.
   * @throws {SpoolSpaceError}
   */
  moveToFile(): void {
    this.space.countFile(this.#inMemory, this.owner);
    this.#inFile += this.#inMemory;
    this.holdInMemory(-this.#inMemory);
  }

  close(): void {
    this.holdInMemory(-this.#inMemory);
    this.space.countFile(-this.#inFile, this.owner);
    this.#inFile = 0;
  }
}
