import { readFileSync } from 'node:fs';
import type { Migration } from '@yuxi/core';

/** Tables `config_head` and `config_revision`; the application applies them before it starts. */
export const configMigrations: readonly Migration[] = [
  { id: 'config-sync/0001-config', sql: readFileSync(new URL('./0001_config.sql', import.meta.url), 'utf8') },
];
