// The cleaning-up of started servers is part of the testing library, which npm test compiles first.
const COMPILED = new URL('../../../libs/testing/dist/run-folder.js', import.meta.url);

/** The compiled functions that know run folders. */
export async function runFolders() {
  try {
    return await import(COMPILED.href);
  } catch (cause) {
    throw new Error('The testing library is not compiled: run `npm run build` (npm test does it by itself)', { cause });
  }
}
