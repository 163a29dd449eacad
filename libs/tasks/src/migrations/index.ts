import { readFileSync } from 'node:fs';
import type { Migration } from '@yuxi/core';

/** The table of the queue. The application applies it together with its own schema. */
export const tasksMigrations: readonly Migration[] = [
  { id: 'tasks/0001-tasks', sql: readFileSync(new URL('./0001_tasks.sql', import.meta.url), 'utf8') },
];
