import { readdirSync } from 'node:fs';

/** Files that only tests use, by name or folder. */
const OF_TESTS =
  /\.(?:spec|test|faults|fixture)\.[cm]?[jt]s|(?:^|\/)libs\/testing\/|(?:^|\/)(?:jest|fast-check|@jest|@nestjs\/testing)\//;
/** Compilers, as packages and programs. */
const COMPILERS =
  /(?:^|\/)(?:typescript|esbuild|@esbuild|@swc|babel-core|@babel|oxlint|tsx|ts-node)\/|(?:^|\/)bin\/(?:gcc|g\+\+|cc|clang|tsc|make|python3)$/;

/** Files that the image must not contain. */
export function forbiddenFiles(files: readonly string[]): string[] {
  return files.filter((file) => OF_TESTS.test(file) || COMPILERS.test(file) || file.endsWith('.ts'));
}

/** All files below a folder, relative to it. */
export function filesIn(folder: string): string[] {
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => !entry.isDirectory())
    .map(({ parentPath, name }) => `${parentPath}/${name}`.slice(folder.length + 1));
}
