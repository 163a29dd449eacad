// Preloaded into a server: records each time when its event loop was blocked for longer than usual.
import { appendFileSync, readFileSync } from 'node:fs';
import { isMainThread } from 'node:worker_threads';

const EVERY = 10;
const REPORTED = 15;
const file = process.env.LOOP_PROBE_FILE;

/** Milliseconds that this thread waited for a processor; 0 if the system does not report it. */
function waited() {
  try {
    return Number(readFileSync(`/proc/self/task/${process.pid}/schedstat`, 'latin1').split(' ')[1]) / 1e6;
  } catch {
    return 0;
  }
}

if (isMainThread && file) {
  let last = performance.now();
  let lastWaited = waited();
  setInterval(() => {
    const [now, nowWaited] = [performance.now(), waited()];
    const held = now - last - EVERY;
    if (held > REPORTED)
      appendFileSync(file, `${Date.now()} ${held.toFixed(1)} ${Math.max(0, nowWaited - lastWaited).toFixed(1)}\n`);
    [last, lastWaited] = [performance.now(), nowWaited];
  }, EVERY).unref();
}
