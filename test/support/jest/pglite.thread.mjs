// Stands in for the thread of the embedded database in tests: the same one, but new databases begin from a copy of one that initdb made,
// which takes a second of processor time instead of four to six. scripts/ensure-servers.mjs makes it.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { PGlite } from '@electric-sql/pglite';

const root = new URL('../../../', import.meta.url);
const { version } = JSON.parse(readFileSync(new URL('node_modules/@electric-sql/pglite/package.json', root), 'utf8'));
const empty = new URL(`.cache/pglite-${version}.tar`, root);
const create = PGlite.create.bind(PGlite);

// PGlite calls itself without a folder while it makes a database.
PGlite.create = (options) =>
  isNew(options?.dataDir) && existsSync(empty)
    ? create({ ...options, loadDataDir: new Blob([readFileSync(empty)]) })
    : create(options);

function isNew(dataDir) {
  return dataDir !== undefined && (dataDir === 'memory://' || !existsSync(join(dataDir, 'PG_VERSION')));
}

await import('../../../libs/storage/dist/drivers/pglite.thread.js');
