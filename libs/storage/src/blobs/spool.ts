import { createHash } from 'node:crypto';
import { mkdtemp, open, rm, type FileHandle } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Size of a part, bytes. */
export const PART = 1024 * 1024;
/** What is larger goes to a temporary file, bytes. */
const IN_MEMORY = 8 * PART;

/**
 * Takes a stream to its end before the database is touched: a slow sender must not hold a transaction open,
 * which on PGlite would stop every other query.
 */
export class Spool {
  readonly hash: string;

  private constructor(
    readonly size: number,
    digest: string,
    private readonly memory: Buffer,
    private readonly file?: { folder: string; handle: FileHandle },
  ) {
    this.hash = digest;
  }

  static async from(content: AsyncIterable<Uint8Array> | Uint8Array): Promise<Spool> {
    const hash = createHash('sha256');
    if (content instanceof Uint8Array) {
      const whole = Buffer.from(content.buffer, content.byteOffset, content.byteLength);
      return new Spool(whole.length, hash.update(whole).digest('hex'), whole);
    }
    let size = 0;
    let pending: Uint8Array[] = [];
    let file: { folder: string; handle: FileHandle } | undefined;
    try {
      for await (const piece of content) {
        hash.update(piece);
        size += piece.length;
        if (file) await file.handle.appendFile(piece);
        // Copied, because the sender may use its buffer again.
        else pending.push(Buffer.from(piece));
        if (!file && size > IN_MEMORY) {
          file = await temporaryFile();
          await file.handle.appendFile(Buffer.concat(pending));
          pending = [];
        }
      }
      return new Spool(size, hash.digest('hex'), Buffer.concat(pending), file);
    } catch (error) {
      await discard(file);
      throw error;
    }
  }

  async *parts(): AsyncIterable<Buffer> {
    for (let start = 0; start < this.size; start += PART) {
      const length = Math.min(PART, this.size - start);
      yield this.file ? await readPart(this.file.handle, start, length) : this.memory.subarray(start, start + length);
    }
  }

  close(): Promise<void> {
    return discard(this.file);
  }
}

async function temporaryFile() {
  const folder = await mkdtemp(join(tmpdir(), 'yuxi-blob-'));
  return { folder, handle: await open(join(folder, 'content'), 'wx+', 0o600) };
}

async function readPart(handle: FileHandle, position: number, length: number): Promise<Buffer> {
  const buffer = Buffer.alloc(length);
  const { bytesRead } = await handle.read(buffer, 0, length, position);
  if (bytesRead !== length) throw new Error(`temporary file of a blob is shorter than written, at byte ${position}`);
  return buffer;
}

async function discard(file?: { folder: string; handle: FileHandle }): Promise<void> {
  if (!file) return;
  await file.handle.close();
  await rm(file.folder, { recursive: true, force: true });
}
