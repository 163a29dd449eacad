import { dirname } from 'node:path';

const MOST_LINES = 350;

const isSource = (file) => /^(?:libs|apps)\/[^/]+\/src\//.test(file);

/** Files that are too long, and folders that hold one file only. `files` are `{ file, text }`, `names` all paths of the repository. */
export function shapeFindings(files, names) {
  const sources = files.filter(({ file }) => isSource(file));
  const counts = new Map();
  for (const file of names.filter(isSource))
    for (let folder = dirname(file); folder.includes('/'); folder = dirname(folder))
      counts.set(folder, (counts.get(folder) ?? 0) + 1);

  const long = sources
    .filter(({ file }) => !/\.(?:spec|fixture)\.ts$/.test(file))
    .map(({ file, text }) => ({ file, lines: text.split('\n').length - 1 }))
    .filter(({ lines }) => lines > MOST_LINES)
    .map(({ file, lines }) => ({
      file,
      line: MOST_LINES,
      rule: 'file-length',
      found: `${lines} lines`,
      use: `at most ${MOST_LINES}: divide it by its concepts`,
    }));
  const lonely = sources
    .filter(({ file }) => counts.get(dirname(file)) === 1)
    .map(({ file }) => ({
      file,
      line: 1,
      rule: 'lonely-file',
      found: dirname(file),
      use: 'a folder with one file: move it up',
    }));
  return [...long, ...lonely];
}
