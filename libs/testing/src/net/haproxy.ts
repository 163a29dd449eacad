import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { findOnPath, isExecutable } from '../binaries.js';
import { Child } from '../child.js';
import { temporaryFolder } from '../run-folder.js';
import { accepts, freePort } from './ports.js';

const READY_TIMEOUT_MS = 10_000;

/** A running haproxy. */
export interface Haproxy {
  baseUrl: string;
  /** For each target, whether it gets requests now. */
  up(): Promise<boolean[]>;
  stop(): Promise<void>;
}

/** Path of haproxy; undefined when it is not installed. Debian installs it in a folder that is on the PATH of root only. */
export function haproxyBinary(): string | undefined {
  return findOnPath('haproxy') ?? ['/usr/sbin/haproxy', '/usr/local/sbin/haproxy'].find(isExecutable);
}

/**
 * Starts haproxy for `targets` (base URLs) with the settings of its manual: round robin, and a health check of `/health/ready` every
 * 2 s. Three failures mean down, two successes mean up. It does not retry (`retries 0`), so that a client sees each failure.
 * @throws Error when haproxy is not installed or does not start
 */
export async function startHaproxy({ targets }: { targets: string[] }): Promise<Haproxy> {
  const command = haproxyBinary();
  if (!command) throw new Error('haproxy is not installed: apt-get install haproxy');
  const folder = temporaryFolder('haproxy');
  const [port, statsPort] = [await freePort(), await freePort()];
  const config = join(folder, 'haproxy.cfg');
  const servers = targets.map((target, i) => `  server s${i} ${new URL(target).host} check`);
  writeFileSync(
    config,
    `defaults
  mode http
  retries 0
  timeout connect 2s
  timeout client 60s
  timeout server 60s
frontend all
  bind 127.0.0.1:${port}
  option forwardfor
  default_backend apis
backend apis
  balance roundrobin
  option httpchk GET /health/ready
${servers.join('\n')}
frontend stats
  bind 127.0.0.1:${statsPort}
  stats enable
  stats uri /
`,
  );
  const logFile = join(folder, 'output.log');
  const child = await Child.start({
    name: 'haproxy',
    command,
    args: ['-db', '-f', config],
    cwd: folder,
    logFile,
    env: {},
    endSignal: 'SIGTERM',
  });
  await child.untilReady(() => accepts(port), READY_TIMEOUT_MS);
  return {
    baseUrl: `http://127.0.0.1:${port}`,
    up: async () => {
      const rows = (await (await fetch(`http://127.0.0.1:${statsPort}/;csv`)).text()).split('\n');
      const columns = rows[0]!.replace('# ', '').split(',');
      const status = columns.indexOf('status');
      const states = new Map(
        rows.map((row) => row.split(',')).map((cells) => [cells.slice(0, 2).join(), cells[status]]),
      );
      return targets.map((_, i) => states.get(`apis,s${i}`)?.startsWith('UP') ?? false);
    },
    stop: async () => void (await child.end('SIGTERM')),
  };
}
