import type { SqlClient } from '@yuxi/core';
import type { Spool } from '@yuxi/storage';

import type { Actor } from '../actor.js';
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
  content: Spool;
}

/** @throws {QuotaExceededError} and errors EMPTY_FILE, UNSUPPORTED_TYPE */
export async function receive(sql: SqlClient, actor: Actor, filename: string, content: Spool): Promise<ReceivedFile> {
  const type = await detectType(filename, content);
  await assertWithinQuota(sql, actor.id, content.size);
  return { filename, type, content };
}
