import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { freePort } from '../net/ports.js';
import { temporaryFolder } from '../run-folder.js';
import { ManagedRedis } from './redis-server.js';
import type { RedisServer } from './redis-server.js';
import { makeCertificates } from './tls.js';
import type { Certificates } from './tls.js';

/** Options of {@link startRedis}. */
export interface StartRedisOptions {
  /** Default: none. */
  password?: string;
  /** Default: a free port. */
  port?: number;
  /** TLS only, with a new certificate authority (`ca` of the server). Default `false`. */
  tls?: boolean;
  /** More lines of redis.conf, such as `maxmemory 2mb`. */
  config?: string[];
}

function commonLines(port: number, folder: string, certificates: Certificates | undefined): string[] {
  const listen = certificates
    ? [
        'port 0',
        `tls-port ${port}`,
        `tls-cert-file ${certificates.certFile}`,
        `tls-key-file ${certificates.keyFile}`,
        `tls-ca-cert-file ${certificates.caFile}`,
        'tls-auth-clients no',
      ]
    : [`port ${port}`];
  return [
    ...listen,
    'bind 127.0.0.1',
    `dir ${folder}`,
    'save ""',
    'appendonly no',
    'daemonize no',
    'enable-debug-command local',
    'maxmemory-policy noeviction',
    'repl-diskless-sync yes',
    'repl-diskless-sync-delay 0',
    'repl-ping-replica-period 1',
  ];
}

/** Starts a Redis; tries another port when a process has taken it meanwhile, unless the option `port` is given. */
export async function startRedis(options: StartRedisOptions = {}): Promise<RedisServer> {
  const { password, tls = false, config = [] } = options;
  for (let attempt = 1; ; attempt++) {
    const folder = temporaryFolder('redis');
    const port = options.port ?? (await freePort());
    const certificates = tls ? await makeCertificates(folder) : undefined;
    const configFile = join(folder, 'redis.conf');
    const lines = [
      ...commonLines(port, folder, certificates),
      ...(password ? [`requirepass ${password}`] : []),
      ...config,
    ];
    writeFileSync(configFile, `${lines.join('\n')}\n`);
    const server = new ManagedRedis({ folder, configFile, port, password, ca: certificates?.ca });
    try {
      await server.start();
      return server;
    } catch (error) {
      await server.stop();
      const taken = error instanceof Error && /address already in use/i.test(error.message);
      if (options.port !== undefined || !taken || attempt === 5) throw error;
    }
  }
}
