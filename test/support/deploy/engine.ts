import { execFile, spawn } from 'node:child_process';
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { temporaryFolder } from '@yuxi/testing';
import { Child } from '../../../libs/testing/src/child.js';

const run = promisify(execFile);
/** Enough to build an image on a busy machine. */
const TIMEOUT_MS = 15 * 60_000;

/** Exit code and output of a command. */
export interface Outcome {
  code: number;
  /** Standard output and error. */
  output: string;
}

/** Installs what an engine needs. @returns why no engine can run here, or undefined */
export async function whyNoEngine(): Promise<string | undefined> {
  try {
    await run(process.execPath, ['scripts/ensure-engine.mjs'], { timeout: TIMEOUT_MS });
    return undefined;
  } catch (error) {
    return (error as { stderr?: string }).stderr?.trim() || (error as Error).message;
  }
}

/** A Docker engine for one test, with its own socket, images, networks and volumes. */
export class Engine {
  private constructor(
    private readonly folder: string,
    private readonly daemon: Child,
    private readonly env: NodeJS.ProcessEnv,
  ) {}

  static async start(): Promise<Engine> {
    const folder = temporaryFolder('engine');
    // The path of a socket may have 107 characters.
    const socket = join(folder, 's');
    writeFileSync(join(folder, 'daemon.json'), '{}');
    mkdirSync(join(folder, 'client/cli-plugins'), { recursive: true });
    copyFileSync('.cache/docker/cli-plugins/docker-compose', join(folder, 'client/cli-plugins/docker-compose'));
    const daemon = await Child.start({
      name: 'dockerd',
      command: 'dockerd',
      // Does not change the iptables or the default bridge of this machine. Compose creates bridges of its own.
      args: [
        `--config-file=${join(folder, 'daemon.json')}`,
        `--host=unix://${socket}`,
        `--data-root=${join(folder, 'data')}`,
        `--exec-root=${join(folder, 'exec')}`,
        `--pidfile=${join(folder, 'pid')}`,
        '--iptables=false',
        '--bridge=none',
      ],
      cwd: folder,
      logFile: join(folder, 'log'),
      env: process.env,
      endSignal: 'SIGTERM',
    });
    const env = { ...process.env, DOCKER_HOST: `unix://${socket}`, DOCKER_CONFIG: join(folder, 'client') };
    const engine = new Engine(folder, daemon, env);
    await daemon.untilReady(async () => (await engine.try('docker', ['version'])).code === 0, 60_000, 200);
    return engine;
  }

  /** Runs a command against this engine to its end. */
  try(command: string, args: readonly string[], options: RunOptions = {}): Promise<Outcome> {
    return new Promise((resolve, reject) => {
      const { cwd, env } = options;
      const child = spawn(command, args, {
        cwd,
        env: { ...this.env, ...env },
        stdio: ['ignore', 'pipe', 'pipe'],
        timeout: TIMEOUT_MS,
      });
      let output = '';
      for (const stream of [child.stdout, child.stderr])
        stream.setEncoding('utf8').on('data', (text: string) => (output += text));
      child.once('error', reject);
      child.once('close', (code) => resolve({ code: code ?? 1, output }));
    });
  }

  /** Like {@link try}. @throws Error with the last lines of the output when it does not end with 0 */
  async run(command: string, args: readonly string[], options: RunOptions = {}): Promise<string> {
    const { code, output } = await this.try(command, args, options);
    const last = output.trimEnd().split('\n').slice(-40).join('\n');
    if (code !== 0) throw new Error(`${[command, ...args].join(' ')} ended with ${code}:\n${last}`);
    return output;
  }

  docker(...args: string[]): Promise<string> {
    return this.run('docker', args);
  }

  async inspect<T>(...args: string[]): Promise<T[]> {
    return JSON.parse(await this.docker('inspect', ...args)) as T[];
  }

  /** Size of an image with all layers, bytes. */
  async sizeOf(image: string): Promise<number> {
    const [{ Size }] = (await this.inspect<{ Size: number }>('--type=image', image)) as [{ Size: number }];
    return Size;
  }

  /** Removes containers and networks, then ends the engine. */
  async stop(): Promise<void> {
    const list = async (...args: string[]) => (await this.docker(...args)).split('\n').filter(Boolean);
    const containers = await list('ps', '--all', '--quiet');
    if (containers.length > 0) await this.docker('rm', '--force', '--volumes', ...containers);
    await this.docker('network', 'prune', '--force');
    await this.daemon.end('SIGTERM', 60_000);
    // The engine does not unmount the network namespace of containers without a network, and mounts prevent the removal of the folder.
    const mounted = readFileSync('/proc/mounts', 'utf8')
      .split('\n')
      .map((line) => line.split(' ')[1] ?? '');
    for (const place of mounted.filter((name) => name.startsWith(`${this.folder}/`)).toReversed())
      await run('umount', [place]);
  }
}

interface RunOptions {
  cwd?: string;
  env?: Record<string, string>;
}
