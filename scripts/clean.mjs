// Removes all compiled folders, so that the next build uses the sources only.
import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';

for (const room of ['libs', 'apps'])
  for (const name of readdirSync(room)) rmSync(join(room, name, 'dist'), { recursive: true, force: true });
