import { createHash, randomUUID } from 'node:crypto';
import { open, unlink, type FileHandle } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PayloadTooLargeError } from '../storage.errors.js';
import { type SpoolShare, SpoolSpace } from './spool-space.js';

/** Size of a part, and of the largest content that never touches the disk, bytes. */
export const PART = 1024 * 1024;
/** What a content that goes to a file collects before it is written, bytes. */
const WRITE = 256 * 1024;

/** A content that may not be in memory as a whole. */
export type Content = Spool | Uint8Array | AsyncIterable<Uint8Array>;

export interface SpoolOptions {
  /** Largest content, bytes. Default: any. */
  limit?: number;
  /** What it shares with the contents that are received at the same time. Default: a space of its own. */
  space?: SpoolSpace;
  /** Whose content it is, see {@link SpoolSpaceOptions.perOwner}. */
  owner?: string;
}

/**
 * A content taken to its end and hashed on the way: up to 1 MiB in memory, a larger one in a temporary file without a name, which is
 * gone with the process. Nothing else waits for a slow sender, and a large content is never in memory as a whole.
 */
export class Spool implements AsyncDisposable {
  private constructor(
    /** Bytes. */
    readonly size: number,
    /** SHA-256, hex. */
    readonly hash: string,
    private readonly kept: Kept,
  ) {}

  /**
   * @throws {PayloadTooLargeError} beyond the limit, {@link SpoolSpaceError} where too much is under way, and what the stream or the file
   *   system throws; nothing is left then
   */
  static async from(
    content: Uint8Array | AsyncIterable<Uint8Array>,
    { limit = Infinity, space = new SpoolSpace({ total: Infinity }), owner }: SpoolOptions = {},
  ): Promise<Spool> {
    const kept = new Kept(space.open(owner));
    try {
      const hash = createHash('sha256');
      let size = 0;
      for await (const piece of content instanceof Uint8Array ? partsOf(content) : content) {
        size += piece.length;
        if (size > limit) throw new PayloadTooLargeError(limit);
        hash.update(piece);
        await kept.add(piece);
      }
      await kept.end();
      return new Spool(size, hash.digest('hex'), kept);
    } catch (error) {
      await kept.close();
      throw error;
    }
  }

  /** Lends a content as a spool. One that is made for it is closed afterwards, one that was given is not. */
  static async lend<T>(content: Content, options: SpoolOptions, use: (spool: Spool) => Promise<T>): Promise<T> {
    if (!(content instanceof Spool)) {
      await using made = await Spool.from(content, options);
      return await use(made);
    }
    if (options.limit !== undefined && content.size > options.limit) throw new PayloadTooLargeError(options.limit);
    return use(content);
  }

  /** The content in parts of 1 MiB, as often as it is wanted. */
  async *parts(): AsyncGenerator<Buffer> {
    for (let start = 0; start < this.size; start += PART)
      yield await this.kept.read(start, Math.min(PART, this.size - start));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.kept.close();
  }
}

/** The bytes, wherever they are. */
class Kept {
  #pieces: Buffer[] = [];
  /** Bytes of the pieces. */
  #waiting = 0;
  #file: FileHandle | undefined;

  constructor(private readonly share: SpoolShare) {}

  async add(piece: Uint8Array): Promise<void> {
    // Copied, because the sender may use its buffer again.
    this.#pieces.push(Buffer.from(piece));
    this.#waiting += piece.length;
    this.share.holdInMemory(piece.length);
    const isEnough = this.#waiting > (this.#file || this.share.isCrowded ? WRITE : PART);
    if (isEnough) await this.#write();
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
      if (bytesRead === 0) throw new Error(`A temporary file ends at byte ${start + at}, before what was written`);
      at += bytesRead;
    }
    return part;
  }

  async close(): Promise<void> {
    this.#pieces = [];
    this.share.close();
    await this.#file?.close();
  }

  async #write(): Promise<void> {
    this.share.moveToFile();
    this.#file ??= await openNameless();
    await this.#file.appendFile(Buffer.concat(this.#pieces));
    this.#pieces = [];
    this.#waiting = 0;
  }
}

/** Without a name the content is gone when the file is closed, even if the process is killed. */
async function openNameless(): Promise<FileHandle> {
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
  for (let start = 0; start < content.length; start += PART) yield content.subarray(start, start + PART);
}
