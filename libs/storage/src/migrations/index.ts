import { readFileSync } from 'node:fs';
import type { Migration } from '@yuxi/core';

/** The product's own tables. */
export const storageMigrations: readonly Migration[] = [
  {
    id: 'storage/0001-foundation',
    sql: readFileSync(new URL('./0001_foundation.sql', import.meta.url), 'utf8'),
  },
];
