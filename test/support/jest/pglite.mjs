// Stands in for '@electric-sql/pglite' in tests: the same PGlite, but new databases begin from a copy of one that initdb made,
// which takes a second of processor time instead of four to six.
import { existsSync, openSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { PGlite } from '../../../node_modules/@electric-sql/pglite/dist/index.js';

export * from '../../../node_modules/@electric-sql/pglite/dist/index.js';

const folder = process.env.YUXI_RUN_FOLDER;
const FILE = join(folder, 'pglite.tar');
const MAKING = join(folder, 'pglite.making');

/** One process of the run makes the copy, the others wait for it. */
async function emptyDatabase() {
  while (!existsSync(FILE)) {
    if (takesTurn()) await makeCopy();
    else await pause(50);
  }
  return new Blob([readFileSync(FILE)]);
}

function takesTurn() {
  try {
    openSync(MAKING, 'wx');
    return true;
  } catch {
    return false;
  }
}

async function makeCopy() {
  try {
    const database = await create({ dataDir: 'memory://' });
    const dump = await database.dumpDataDir('none');
    await database.close();
    writeFileSync(`${FILE}.part`, Buffer.from(await dump.arrayBuffer()));
    renameSync(`${FILE}.part`, FILE);
  } finally {
    // After a failure the next one tries.
    rmSync(MAKING, { force: true });
  }
}

const create = PGlite.create.bind(PGlite);

// PGlite calls itself without a folder while it makes a database.
PGlite.create = async (options) =>
  isNew(options?.dataDir) ? create({ ...options, loadDataDir: await emptyDatabase() }) : create(options);

function isNew(dataDir) {
  if (dataDir === undefined) return false;
  return dataDir === 'memory://' || !existsSync(join(dataDir, 'PG_VERSION'));
}
