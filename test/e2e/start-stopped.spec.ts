import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';
import { expect, it } from '@jest/globals';
import { monotonicMs } from '@yuxi/core';
import { api, eventually, freePort, programOf, reportSkip, temporaryFolder } from '@yuxi/testing';

const MINUTE = 60_000;
/** Default of Kubernetes. */
const GRACE_SECONDS = 30;
const NAMESPACES = ['-p', '-rp'];

/** Flags of `unshare` for a process that receives signals like the first process of a container. */
async function firstProcess(): Promise<string | undefined> {
  for (const flags of NAMESPACES)
    if (await promisify(execFile)('unshare', [flags, '--fork', 'true']).catch(() => false)) return flags;
  return undefined;
}

/** Processor time, hundredths of a second. Node alone takes about five, and has no handler for SIGTERM before. */
const NODE_STARTED = 20;

/** Processor time of a process, hundredths of a second. */
function ticksOf(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ');
  return Number(fields[11]) + Number(fields[12]);
}

/** The API as the first process of a namespace, on an embedded database in `folder`. */
class FirstProcess {
  readonly baseUrl: string;
  readonly #exit: Promise<[number | null]>;
  readonly #unshare: number;
  readonly #from = monotonicMs();

  constructor(flags: string, folder: string, port: number) {
    this.baseUrl = `http://127.0.0.1:${port}`;
    const program = [process.execPath, '--enable-source-maps', programOf('api')];
    const child = spawn('unshare', [flags, '--fork', '--kill-child', ...program], {
      cwd: folder,
      env: { PATH: process.env['PATH'], PORT: String(port), METRICS_PORT: '0', YUXI_DATA_DIR: folder },
      stdio: 'ignore',
    });
    this.#exit = once(child, 'exit') as Promise<[number | null]>;
    this.#unshare = child.pid!;
  }

  /** Sends SIGTERM to the child of unshare, not before `ms` after the start, and waits for the end. */
  async stop(ms = 0): Promise<{ code: number | null; took: number }> {
    const pid = await eventually(() => {
      const child = Number(readFileSync(`/proc/${this.#unshare}/task/${this.#unshare}/children`, 'utf8'));
      return child > 0 && ticksOf(child) >= NODE_STARTED && child;
    });
    await pause(Math.max(0, this.#from + ms - monotonicMs()));
    const from = monotonicMs();
    process.kill(Number(pid), 'SIGTERM');
    const [code] = await this.#exit;
    return { code, took: monotonicMs() - from };
  }
}

it(
  'SIGTERM during the start ends the first process of a container with 0, and the next start succeeds',
  async () => {
    const flags = await firstProcess();
    if (!flags) return reportSkip('SIGTERM during the start', 'no process namespace can be made here');
    for (const ms of [500, 1500, 3000]) {
      const folder = temporaryFolder('stopped');
      const { code, took } = await new FirstProcess(flags, folder, await freePort()).stop(ms);
      console.info(`SIGTERM ${ms} ms after the start: ended with ${code} in ${took.toFixed(0)} ms`);
      expect(code).toBe(0);
      expect(took).toBeLessThan(GRACE_SECONDS * 1000);
      const next = new FirstProcess(flags, folder, await freePort());
      await eventually(async () => expect((await api(next.baseUrl).get('/health/ready')).status).toBe(200), {
        timeout: MINUTE,
        every: 50,
      });
      expect((await next.stop()).code).toBe(0);
    }
  },
  5 * MINUTE,
);
