// The worker of the embedded database in tests. It creates a new database from a copy of an empty one. That takes one second of
// processor time, while initdb takes four to six. scripts/ensure-servers.mjs creates the empty database.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { PGlite } from '@electric-sql/pglite';

const root = new URL('../../../', import.meta.url);
const { version } = JSON.parse(readFileSync(new URL('node_modules/@electric-sql/pglite/package.json', root), 'utf8'));
const empty = new URL(`.cache/pglite-${version}.tar`, root);
const create = PGlite.create.bind(PGlite);

// While PGlite creates a database, it calls itself without a folder.
PGlite.create = (options) =>
  isNew(options?.dataDir) && existsSync(empty)
    ? create({ ...options, loadDataDir: new Blob([readFileSync(empty)]) })
    : create(options);

function isNew(dataDir) {
  return dataDir !== undefined && (dataDir === 'memory://' || !existsSync(join(dataDir, 'PG_VERSION')));
}

await import('../../../libs/storage/dist/drivers/pglite.thread.js');
