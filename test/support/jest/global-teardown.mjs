import { runFolders } from './run-folder.mjs';

/** Removes the run folder; the reporter has already complained about servers that were still running. */
export default async function teardown() {
  const { removeRunFolder, RUN_FOLDER_VARIABLE } = await runFolders();
  const folder = process.env[RUN_FOLDER_VARIABLE];
  if (folder) removeRunFolder(folder);
  delete process.env[RUN_FOLDER_VARIABLE];
}
