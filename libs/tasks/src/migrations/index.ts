import { readFileSync } from 'node:fs';
import type { Migration } from '@yuxi/core';

const read = (file: string) => readFileSync(new URL(file, import.meta.url), 'utf8');

/** The tables of the queue. The application applies them together with its own schema. */
export const tasksMigrations: readonly Migration[] = [
  { id: 'tasks/0001-tasks', sql: read('./0001_tasks.sql') },
  { id: 'tasks/0002-queues', sql: read('./0002_queues.sql') },
  { id: 'tasks/0003-cron', sql: read('./0003_cron.sql') },
  { id: 'tasks/0004-effects', sql: read('./0004_effects.sql') },
  { id: 'tasks/0005-rates', sql: read('./0005_rates.sql') },
  { id: 'tasks/0006-dedupe', sql: read('./0006_dedupe.sql') },
  { id: 'tasks/0007-context', sql: read('./0007_context.sql') },
  { id: 'tasks/0008-revoked', sql: read('./0008_revoked.sql') },
  { id: 'tasks/0009-scope', sql: read('./0009_scope.sql') },
];
