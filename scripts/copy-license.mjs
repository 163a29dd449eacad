// Before a library is packed: its tarball carries the licence, of which the repository has one copy. Run in the folder of the library.
import { copyFileSync } from 'node:fs';

copyFileSync(new URL('../LICENSE', import.meta.url), 'LICENSE');
