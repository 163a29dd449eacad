import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const SIGNALS = ['SIGINT', 'SIGTERM'];
const ROOT = fileURLToPath(new URL('..', import.meta.url));
const JEST = ['--experimental-vm-modules', '--disable-warning=ExperimentalWarning', 'node_modules/jest/bin/jest.js'];

/**
 * Runs Jest with the flag of Node that it needs for ES modules.
 * @param env more environment variables; undefined removes a variable
 * @param output file descriptor of its standard output and error; default: those of this process
 * @returns its exit code, 1 when a signal ended it
 */
export function runJest(options, env = {}, output = 'inherit') {
  const child = spawn(process.execPath, [...JEST, ...options], {
    cwd: ROOT,
    stdio: ['ignore', output, output],
    env: { ...process.env, ...env },
  });
  let ended;
  const pass = (signal) => {
    ended = signal;
    child.kill(signal);
  };
  for (const signal of SIGNALS) process.on(signal, pass);
  return new Promise((resolve) => {
    child.once('exit', (code) => {
      for (const signal of SIGNALS) process.off(signal, pass);
      // The signal also ends this process, so that the next run does not start.
      if (ended) process.kill(process.pid, ended);
      resolve(code ?? 1);
    });
  });
}
