import { randomUUID } from 'node:crypto';
import { open, unlink, type FileHandle } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Small files never touch the disk. */
const IN_MEMORY = 1024 * 1024;

/**
 * Collects a content. Beyond 1 MiB it waits in the folder for temporary files until all of it has come, so that a body
 * that is refused at its end, or sent slowly, does not hold its size in memory.
 */
export async function spool(stream: AsyncIterable<Buffer>): Promise<Buffer> {
  const pieces: Buffer[] = [];
  let waiting = 0;
  let file: FileHandle | undefined;
  let written = 0;
  try {
    for await (const piece of stream) {
      pieces.push(piece);
      waiting += piece.length;
      if (waiting <= IN_MEMORY) continue;
      file ??= await openNameless();
      await file.appendFile(Buffer.concat(pieces.splice(0)));
      written += waiting;
      waiting = 0;
    }
    if (!file) return Buffer.concat(pieces);
    await file.appendFile(Buffer.concat(pieces));
    return await readBack(file, written + waiting);
  } finally {
    await file?.close();
  }
}

/** Without a name the content is gone when the file is closed, even if the process is killed. */
async function openNameless(): Promise<FileHandle> {
  const path = join(tmpdir(), `yuxi-upload-${randomUUID()}`);
  const file = await open(path, 'wx+', 0o600);
  try {
    await unlink(path);
  } catch (error) {
    await file.close();
    throw error;
  }
  return file;
}

async function readBack(file: FileHandle, size: number): Promise<Buffer> {
  const content = Buffer.allocUnsafe(size);
  for (let at = 0; at < size;) {
    const { bytesRead } = await file.read(content, at, size - at, at);
    if (bytesRead === 0) throw new Error(`A temporary file ended after ${at} of ${size} bytes`);
    at += bytesRead;
  }
  return content;
}
