import { runFolders } from './run-folder.mjs';

/** Removes the run folder. The reporter has already listed the servers that still run. */
export default async function teardown() {
  const { removeRunFolder, RUN_FOLDER_VARIABLE } = await runFolders();
  const folder = process.env[RUN_FOLDER_VARIABLE];
  if (folder) removeRunFolder(folder);
  delete process.env[RUN_FOLDER_VARIABLE];
}
