import { readFileSync } from 'node:fs';
import type { Migration } from '@yuxi/core';

/** The tables of the product. A released file is never edited: add a new one. */
export const storageMigrations: readonly Migration[] = [
  { id: 'storage/0001-foundation', sql: read('0001_foundation.sql') },
  { id: 'storage/0002-sessions', sql: read('0002_sessions.sql') },
  { id: 'storage/0003-audit-events', sql: read('0003_audit_events.sql') },
  { id: 'storage/0004-api-keys', sql: read('0004_api_keys.sql') },
  { id: 'storage/0005-generations', sql: read('0005_generations.sql') },
  { id: 'storage/0006-vectors', sql: read('0006_vectors.sql'), extension: 'vector' },
  { id: 'storage/0007-uploads', sql: read('0007_uploads.sql') },
  { id: 'storage/0008-claimed-by', sql: read('0008_claimed_by.sql') },
  { id: 'storage/0009-hidden-chunks', sql: read('0009_hidden_chunks.sql') },
  { id: 'storage/0010-toast-compression', sql: read('0010_toast_compression.sql') },
];

function read(file: string): string {
  return readFileSync(new URL(`./${file}`, import.meta.url), 'utf8');
}
