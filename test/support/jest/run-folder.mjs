// The testing library removes started servers; npm test compiles it first.
const COMPILED = new URL('../../../libs/testing/dist/run-folder.js', import.meta.url);

/** The compiled functions for run folders. */
export async function runFolders() {
  try {
    return await import(COMPILED.href);
  } catch (cause) {
    throw new Error('The testing library is not compiled: run `npm run build` (npm test does it by itself)', { cause });
  }
}
