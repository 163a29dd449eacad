import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { temporaryFolder } from '@yuxi/testing';

const run = promisify(execFile);
const MINUTES = 60_000;

/** The product before its newest migration. */
export interface PreviousBuild {
  commit: string;
  /** Path of its API program. */
  api: string;
}

/**
 * Builds the commit before the newest migration, with its own lockfile, in a folder of this run. Takes about two minutes.
 * @returns `undefined` when the git history is not available
 */
export async function buildPrevious(): Promise<PreviousBuild | undefined> {
  const git = async (...args: string[]) => (await run('git', args)).stdout.trim();
  const migrations = ['--', 'libs/*/src/migrations/*.sql'];
  const newest = await git('log', '--diff-filter=A', '--format=%H', '-1', ...migrations).catch(() => '');
  const commit = newest && (await git('rev-parse', '--verify', `${newest}^`).catch(() => ''));
  if (!commit) return undefined;
  const folder = temporaryFolder('previous-build');
  await git('archive', `--output=${join(folder, 'tree.tar')}`, commit);
  const build = { cwd: folder, timeout: 10 * MINUTES, maxBuffer: 64 * 1024 * 1024 };
  await run('tar', ['xf', 'tree.tar'], build);
  await run('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund'], build);
  await run('npm', ['run', '--silent', 'compile'], build);
  const dist = join(folder, 'apps/api/dist');
  const bundle = join(dist, 'bundle/main.mjs');
  return { commit, api: existsSync(bundle) ? bundle : join(dist, 'main.js') };
}
