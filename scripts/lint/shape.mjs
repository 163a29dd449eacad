import { dirname } from 'node:path';

const MOST_LINES = 350;

/** Files that are too long, and folders that hold one file only. `files` are `{ file, text }` of the whole repository. */
export function shapeFindings(files) {
  const sources = files.filter(({ file }) => /^(?:libs|apps)\/[^/]+\/src\//.test(file));
  const counts = new Map();
  for (const { file } of sources)
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
    .map(({ file }) => ({ file, line: 1, rule: 'lonely-file', found: dirname(file), use: 'a folder with one file: move it up' }));
  return [...long, ...lonely];
}
