import { readFileSync } from 'node:fs';
import type { Migration } from '@yuxi/core';

const read = (file: string) => readFileSync(new URL(file, import.meta.url), 'utf8');

/** Tables `config_head`, `config_revision` and `config_replica`; the application applies them before it starts. */
export const configMigrations: readonly Migration[] = [
  { id: 'config-sync/0001-config', sql: read('./0001_config.sql') },
  { id: 'config-sync/0002-rollout', sql: read('./0002_rollout.sql') },
];
