// Copies Lua scripts and SQL migrations beside the compiled code that reads them; tsc does not.
import { copyFileSync, existsSync, mkdirSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const isAsset = (file) => /\.(?:lua|sql)$/.test(file);

export function copyAssets() {
  for (const room of ['libs', 'apps']) {
    for (const name of readdirSync(room)) {
      const src = join(room, name, 'src');
      if (!existsSync(src)) continue;
      for (const file of readdirSync(src, { recursive: true })) {
        if (!isAsset(file)) continue;
        const target = join(room, name, 'dist', file);
        mkdirSync(dirname(target), { recursive: true });
        copyFileSync(join(src, file), target);
      }
    }
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) copyAssets();
