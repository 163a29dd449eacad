import { join } from 'node:path';
import { runFolders } from './run-folder.mjs';

/** One folder for all workers of this run, so that servers of a worker are found and ended after the last test. */
export default async function setup() {
  const { createRunFolder, removeAtExit, removeOrphans, RUN_FOLDER_VARIABLE } = await runFolders();
  removeOrphans();
  process.env[RUN_FOLDER_VARIABLE] = createRunFolder();
  // An interrupted run has no teardown.
  removeAtExit(process.env[RUN_FOLDER_VARIABLE]);
  process.env.YUXI_SKIP_LOG = join(process.env[RUN_FOLDER_VARIABLE], 'skips.jsonl');
}
