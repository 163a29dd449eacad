import { createHash, randomUUID } from 'node:crypto';
import { open, unlink, type FileHandle } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PayloadTooLargeError } from '../storage.errors.js';
import { type SpoolAllocation, SpoolSpace } from './spool-space.js';

/** Size of a part, and of the largest content that stays in memory, bytes. */
export const PART_BYTES = 1024 * 1024;
/** Bytes that are collected before each write to the file. */
const WRITE_BYTES = 256 * 1024;

/** A content that may be too large for memory. */
export type Content = Spool | Uint8Array | AsyncIterable<Uint8Array>;

export interface SpoolOptions {
  /** Largest content, bytes. Default: no limit. */
  limit?: number;
  /** Limits for all contents that are received at the same time. Default: none. */
  space?: SpoolSpace;
  /** Owner of the content, see {@link SpoolSpaceOptions.perOwner}. */
  owner?: string;
}

/**
 * A content that was read to its end and hashed. Up to 1 MiB is in memory, a larger content in an unlinked temporary file.
 * So a slow sender holds no other resource, a large content is never in memory as a whole, and the file ends with the process.
 */
export class Spool implements AsyncDisposable {
  private constructor(
    /** Bytes. */
    readonly size: number,
    /** SHA-256, hex. */
    readonly hash: string,
    private readonly bytes: SpooledBytes,
  ) {}

  /**
   * @throws {PayloadTooLargeError} beyond the limit, {@link SpoolSpaceError} when the open contents use all of the space, and
   *   what the stream or the file system throws. Then nothing is kept.
   */
  static async from(
    content: Uint8Array | AsyncIterable<Uint8Array>,
    { limit = Infinity, space = new SpoolSpace({ total: Infinity }), owner }: SpoolOptions = {},
  ): Promise<Spool> {
    const bytes = new SpooledBytes(space.open(owner));
    try {
      const hash = createHash('sha256');
      let size = 0;
      for await (const piece of content instanceof Uint8Array ? partsOf(content) : content) {
        size += piece.length;
        if (size > limit) throw new PayloadTooLargeError(limit);
        hash.update(piece);
        await bytes.add(piece);
      }
      await bytes.end();
      return new Spool(size, hash.digest('hex'), bytes);
    } catch (error) {
      await bytes.close();
      throw error;
    }
  }

  /** Calls `work` with a content as a spool. A spool that is created for it is closed afterwards; a given spool stays open. */
  static async use<T>(content: Content, options: SpoolOptions, work: (spool: Spool) => Promise<T>): Promise<T> {
    if (!(content instanceof Spool)) {
      await using created = await Spool.from(content, options);
      return await work(created);
    }
    if (options.limit !== undefined && content.size > options.limit) throw new PayloadTooLargeError(options.limit);
    return work(content);
  }

  /** The content in parts of 1 MiB. May be called many times. */
  async *parts(): AsyncGenerator<Buffer> {
    for (let start = 0; start < this.size; start += PART_BYTES)
      yield await this.bytes.read(start, Math.min(PART_BYTES, this.size - start));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.bytes.close();
  }
}

/** Bytes in memory, or in a temporary file when they are too many. */
class SpooledBytes {
  #pieces: Buffer[] = [];
  /** Bytes in `#pieces`. */
  #buffered = 0;
  #file: FileHandle | undefined;

  constructor(private readonly allocation: SpoolAllocation) {}

  async add(piece: Uint8Array): Promise<void> {
    // A copy, because the sender may use its buffer again.
    this.#pieces.push(Buffer.from(piece));
    this.#buffered += piece.length;
    this.allocation.addMemory(piece.length);
    const limit = this.#file || this.allocation.isMemoryFull ? WRITE_BYTES : PART_BYTES;
    if (this.#buffered > limit) await this.#write();
  }

  async end(): Promise<void> {
    if (this.#file) await this.#write();
    else this.#pieces = [Buffer.concat(this.#pieces)];
  }

  async read(start: number, length: number): Promise<Buffer> {
    if (!this.#file) return this.#pieces[0]!.subarray(start, start + length);
    const part = Buffer.allocUnsafe(length);
    for (let at = 0; at < length;) {
      const { bytesRead } = await this.#file.read(part, at, length - at, start + at);
      if (bytesRead === 0) throw new Error(`A temporary file ends at byte ${start + at}, before all written bytes`);
      at += bytesRead;
    }
    return part;
  }

  async close(): Promise<void> {
    this.#pieces = [];
    this.allocation.close();
    await this.#file?.close();
  }

  async #write(): Promise<void> {
    this.allocation.moveToFile();
    this.#file ??= await openUnlinked();
    await this.#file.appendFile(Buffer.concat(this.#pieces));
    this.#pieces = [];
    this.#buffered = 0;
  }
}

/** A file without a name: its content is deleted when the file is closed, also when the process is killed. */
async function openUnlinked(): Promise<FileHandle> {
  const path = join(tmpdir(), `yuxi-spool-${randomUUID()}`);
  const file = await open(path, 'wx+', 0o600);
  try {
    await unlink(path);
  } catch (error) {
    await file.close();
    throw error;
  }
  return file;
}

async function* partsOf(content: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let start = 0; start < content.length; start += PART_BYTES) yield content.subarray(start, start + PART_BYTES);
}
