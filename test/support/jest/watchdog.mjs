// Runs in a thread of its own beside the tests: ends the process when its event loop stands still, and names the test.
import { writeSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';
import { runFolders } from './run-folder.mjs';

const { beat, blockedAfter, folder } = workerData;
const { removeRunFolder } = await runFolders();
let running;
let seen = -1;
let since = performance.now();

parentPort.on('message', (what) => {
  running = what;
  since = performance.now();
});

setInterval(() => {
  const now = Atomics.load(beat, 0);
  if (now !== seen || running === undefined) {
    seen = now;
    since = performance.now();
  } else if (performance.now() - since > blockedAfter) {
    writeSync(
      2,
      `\nThe event loop stood still for ${blockedAfter / 1000} s in the test: ${running}\nIts process is ended.\n`,
    );
    if (folder) removeRunFolder(folder);
    process.kill(process.pid, 'SIGKILL');
  }
}, 500);
