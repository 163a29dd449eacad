import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { eventually, freePort } from '@yuxi/testing';

const ENTRY = fileURLToPath(new URL('../../../apps/api/dist/bundle/main.mjs', import.meta.url));

/** Starts the embedded default on a data folder, waits until it serves, ends it. @returns milliseconds to serving */
export async function startEmbedded(folder) {
  const port = await freePort();
  const from = performance.now();
  const child = spawn(process.execPath, [ENTRY], {
    env: { PATH: process.env.PATH, PORT: port, METRICS_PORT: await freePort(), YUXI_DATA_DIR: folder },
    stdio: 'ignore',
  });
  const exited = once(child, 'exit');
  try {
    const serves = async () => (await fetch(`http://127.0.0.1:${port}/health/startup`)).ok;
    await eventually(serves, { timeout: 60_000, every: 10 });
    return performance.now() - from;
  } finally {
    child.kill('SIGTERM');
    await exited;
  }
}
