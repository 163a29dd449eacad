import { execFileSync } from 'node:child_process';

/** Files of the repository that are tracked or could be, without those that were deleted. */
export function repositoryFiles() {
  const deleted = new Set(list('--deleted'));
  const files = list('--cached', '--others', '--exclude-standard').filter((file) => file !== '' && !deleted.has(file));
  return [...new Set(files)].sort();
}

function list(...options) {
  return execFileSync('git', ['ls-files', '-z', ...options], { encoding: 'utf8' }).split('\0');
}

/** Whether a path matches one of the globs: `*` is any part of one name, `**` any folders. */
export function matchesAny(file, globs) {
  return globs.some((glob) => regexOf(glob).test(file));
}

const regexes = new Map();

function regexOf(glob) {
  if (!regexes.has(glob)) {
    const source = glob
      .replaceAll(/[.+^${}()|[\]\\]/g, '\\$&')
      .replaceAll(/\*\*\/|\*\*|\*/g, (star) => ({ '**/': '(?:.*/)?', '**': '.*', '*': '[^/]*' })[star]);
    regexes.set(glob, new RegExp(`^${source}$`));
  }
  return regexes.get(glob);
}
