import { createHash } from 'node:crypto';

import type { SqlClient } from '@yuxi/core';

import type { Actor } from '../actor.js';
import { PayloadTooLargeError } from '../knowledge.errors.js';
import { detectType } from '../text/index.js';
import { assertWithinQuota } from './quota.js';

/** Largest file, bytes. */
export const MAX_UPLOAD_BYTES = 50 * 1024 * 1024;
/** How often a content that was collected under our hands is stored again. */
export const PUT_ATTEMPTS = 5;

/** A content as somebody sent it, looked at. */
export interface ReceivedFile {
  filename: string;
  /** Extension without the dot. */
  type: string;
  content: Buffer;
  /** SHA-256, hex. */
  hash: string;
}

/** @throws {PayloadTooLargeError} {@link QuotaExceededError}, and errors EMPTY_FILE, UNSUPPORTED_TYPE */
export async function receive(
  sql: SqlClient,
  actor: Actor,
  filename: string,
  source: Uint8Array | AsyncIterable<Uint8Array>,
): Promise<ReceivedFile> {
  const content = await collect(source);
  const type = await detectType(filename, content);
  await assertWithinQuota(sql, actor.id, content.length);
  return { filename, type, content, hash: createHash('sha256').update(content).digest('hex') };
}

async function collect(source: Uint8Array | AsyncIterable<Uint8Array>): Promise<Buffer> {
  if (source instanceof Uint8Array) {
    if (source.length > MAX_UPLOAD_BYTES) throw new PayloadTooLargeError(MAX_UPLOAD_BYTES);
    return Buffer.from(source.buffer, source.byteOffset, source.byteLength);
  }
  const pieces: Uint8Array[] = [];
  let size = 0;
  for await (const piece of source) {
    size += piece.length;
    if (size > MAX_UPLOAD_BYTES) throw new PayloadTooLargeError(MAX_UPLOAD_BYTES);
    pieces.push(piece);
  }
  return Buffer.concat(pieces, size);
}
