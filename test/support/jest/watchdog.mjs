// Runs in a worker thread beside the tests. Ends the process when its event loop is blocked, and names the test.
import { writeSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';
import { runFolders } from './run-folder.mjs';

const { counter, blockedAfter, folder } = workerData;
const { removeRunFolder } = await runFolders();
let running;
let lastCount = -1;
let since = performance.now();

parentPort.on('message', (what) => {
  running = what;
  since = performance.now();
});

setInterval(() => {
  const now = Atomics.load(counter, 0);
  if (now !== lastCount || running === undefined) {
    lastCount = now;
    since = performance.now();
  } else if (performance.now() - since > blockedAfter) {
    writeSync(
      2,
      `\nThe event loop was blocked for ${blockedAfter / 1000} s in the test: ${running}\nIts process is killed.\n`,
    );
    if (folder) removeRunFolder(folder);
    process.kill(process.pid, 'SIGKILL');
  }
}, 500);
