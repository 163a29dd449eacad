// Preloaded into a server: notes each time its event loop was held for longer than usual.
import { appendFileSync, readFileSync } from 'node:fs';
import { isMainThread } from 'node:worker_threads';

const EVERY = 10;
const NOTED = 15;
const file = process.env.LOOP_PROBE_FILE;

/** Milliseconds that this thread was ready to run and had no processor; 0 where the system does not tell. */
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
    if (held > NOTED)
      appendFileSync(file, `${Date.now()} ${held.toFixed(1)} ${Math.max(0, nowWaited - lastWaited).toFixed(1)}\n`);
    [last, lastWaited] = [performance.now(), nowWaited];
  }, EVERY).unref();
}
