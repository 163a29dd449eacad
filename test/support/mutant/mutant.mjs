// A mutant is the product with one guard removed. `YUXI_MUTANT` names it as JSON: { file, find, replace }.
const given = process.env.YUXI_MUTANT ? JSON.parse(process.env.YUXI_MUTANT) : undefined;

/** @param path of a source below libs or apps, or of its compiled file */
function isMutated(path) {
  const source = path.replace(/(libs|apps)\/([^/]+)\/dist\//, '$1/$2/src/').replace(/\.js$/, '.ts');
  return given !== undefined && source.endsWith(`/${given.file}`);
}

/** The text of a file, changed if it is the mutated file. @throws Error when the file does not contain the text to replace */
export function mutate(path, text) {
  if (!isMutated(path)) return text;
  if (!text.includes(given.find)) throw new Error(`${path} does not contain ${JSON.stringify(given.find)}`);
  return text.replace(given.find, () => given.replace);
}
