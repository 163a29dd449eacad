import { readFileSync } from 'node:fs';
import type { Migration } from '@yuxi/core';

const read = (file: string) => readFileSync(new URL(file, import.meta.url), 'utf8');

/** The tables of the PostgreSQL store; to be applied after `tasksMigrations`. */
export const sagaMigrations: readonly Migration[] = [{ id: 'saga/0001-sagas', sql: read('./0001_sagas.sql') }];
