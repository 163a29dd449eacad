import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';

const { version } = JSON.parse(readFileSync('node_modules/@electric-sql/pglite/package.json', 'utf8'));
const FILE = `.cache/pglite-${version}.tar`;

/** Creates an empty PGlite database, which tests copy: initdb takes seconds. */
export async function ensurePgliteCopy() {
  if (existsSync(FILE)) return;
  const { PGlite } = await import('@electric-sql/pglite');
  const database = await PGlite.create();
  const dump = await database.dumpDataDir('none');
  await database.close();
  mkdirSync('.cache', { recursive: true });
  writeFileSync(`${FILE}.${process.pid}`, Buffer.from(await dump.arrayBuffer()));
  renameSync(`${FILE}.${process.pid}`, FILE);
}
