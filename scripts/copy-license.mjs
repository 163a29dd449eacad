// Copies the licence of the repository into the folder of a library before it is packed. Runs in that folder.
import { copyFileSync } from 'node:fs';

copyFileSync(new URL('../LICENSE', import.meta.url), 'LICENSE');
