import { execFile } from 'node:child_process';
import { cpSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { freePort, temporaryFolder } from '@yuxi/testing';
import { stringify } from 'yaml';
import type { Engine, Outcome } from './engine.js';

const run = promisify(execFile);

/** Part of the output of `docker inspect`. */
export interface Container {
  Name: string;
  State: { Running: boolean; ExitCode: number; Health?: { Status: string } };
  Config: { User: string; Env: string[]; Cmd: string[] };
  HostConfig: { ReadonlyRootfs: boolean };
}

/** A checkout of the repository, as an operator has it, in which docker compose runs. */
export class Deployment {
  private constructor(
    private readonly engine: Engine,
    readonly folder: string,
    readonly url: string,
    private readonly env: Record<string, string>,
  ) {}

  static async checkOut(engine: Engine): Promise<Deployment> {
    const folder = temporaryFolder('checkout');
    const { stdout } = await run('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], {
      maxBuffer: 1e8,
    });
    for (const file of stdout.split('\0').filter((name) => name && existsSync(name))) cpSync(file, join(folder, file));
    // The engine has no default bridge, so a build uses the network of the machine to reach the package registry.
    const build = { build: { network: 'host' } };
    writeFileSync(join(folder, 'stand-in.yml'), stringify({ services: { api: build, worker: build } }));
    const listen = `127.0.0.1:${await freePort()}`;
    return new Deployment(engine, folder, `http://${listen}`, {
      COMPOSE_FILE: 'docker-compose.yml:stand-in.yml',
      LISTEN: listen,
    });
  }

  /** Runs a shell command in the checkout. */
  try(line: string, env: Record<string, string> = {}): Promise<Outcome> {
    return this.engine.try('sh', ['-c', line], { cwd: this.folder, env: { ...this.env, ...env } });
  }

  /** Like {@link try}. @throws Error with its last lines when it does not end with 0 */
  type(line: string): Promise<string> {
    return this.engine.run('sh', ['-c', line], { cwd: this.folder, env: this.env });
  }

  /** Runs a script with Node inside a container of a service. @returns its output */
  node(service: string, index: number, script: string): Promise<string> {
    const args = ['compose', 'exec', '--no-TTY', '--index', String(index), service, 'node', '--eval', script];
    return this.engine.run('docker', args, { cwd: this.folder, env: this.env });
  }

  secret(name: string): string {
    return readFileSync(join(this.folder, 'secrets', name), 'utf8').trim();
  }

  /** All containers of a service, or of all services. */
  async containers(service = ''): Promise<Container[]> {
    const ids = (await this.type(`docker compose ps --all --quiet ${service}`)).split('\n').filter(Boolean);
    return this.engine.inspect<Container>(...ids);
  }
}
