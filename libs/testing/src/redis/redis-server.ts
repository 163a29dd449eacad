import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { redisServerBinary } from '../binaries.js';
import { Child } from '../child.js';
import { askRedis } from './ask.js';

/** A running Redis on a port of 127.0.0.1. */
export interface RedisServer {
  host: string;
  port: number;
  /** `redis://` or `rediss://`, with the password. */
  url: string;
  password?: string;
  /** Changes with a restart. */
  readonly pid: number;
  /** PEM of the certificate authority of a TLS server. */
  ca?: string;
  /** Ends the server and removes its files. */
  stop(): Promise<void>;
  /** SIGKILL; waits for the end. {@link restart} starts it again. */
  kill(): Promise<void>;
  /** SIGSTOP: connections stay open without answers. */
  pause(): void;
  /** SIGCONT. */
  resume(): void;
  /** Starts it again on the same port, empty unless `keepData` is true. Default `false`. */
  restart(options?: { keepData?: boolean }): Promise<void>;
}

/** How {@link ManagedRedis} starts the server. */
export interface RedisLaunch {
  folder: string;
  configFile: string;
  port: number;
  password?: string;
  ca?: string;
  /** More command line arguments, such as `--sentinel`. */
  args?: string[];
}

const READY_TIMEOUT_MS = 10_000;

/** The process behind a {@link RedisServer}. */
export class ManagedRedis implements RedisServer {
  readonly host = '127.0.0.1';
  readonly port: number;
  readonly url: string;
  readonly password?: string;
  readonly ca?: string;
  #child: Child | undefined;

  constructor(private readonly launch: RedisLaunch) {
    const { port, password, ca } = launch;
    this.port = port;
    this.url = `${ca ? 'rediss' : 'redis'}://${password ? `:${encodeURIComponent(password)}@` : ''}${this.host}:${port}`;
    if (password) this.password = password;
    if (ca) this.ca = ca;
  }

  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  /** @throws Error with the last lines of the server when it ends before it answers */
  async start(): Promise<void> {
    const { folder, configFile, args = [], port } = this.launch;
    this.#child = await Child.start({
      name: `redis-server :${port}`,
      command: redisServerBinary(),
      args: [configFile, ...args],
      cwd: folder,
      logFile: join(folder, 'server.log'),
    });
    await this.#child.untilReady(() => this.#answers(), READY_TIMEOUT_MS);
  }

  /** Another server on this port would answer too, so the process id is compared. */
  async #answers(): Promise<boolean> {
    const pong = await askRedis(this, 'PING');
    return pong.includes('+PONG') && (await askRedis(this, 'INFO server')).includes(`process_id:${this.pid}\r`);
  }

  async stop(): Promise<void> {
    await this.kill();
    rmSync(this.launch.folder, { recursive: true, force: true });
  }

  async kill(): Promise<void> {
    await this.#child?.end('SIGKILL');
  }

  pause(): void {
    this.#child?.signal('SIGSTOP');
  }

  resume(): void {
    this.#child?.signal('SIGCONT');
  }

  async restart(options: { keepData?: boolean } = {}): Promise<void> {
    if (options.keepData && this.#child?.running) {
      this.resume();
      await askRedis(this, 'SHUTDOWN SAVE', READY_TIMEOUT_MS);
    }
    await this.kill();
    if (!options.keepData) {
      for (const name of ['dump.rdb', 'appendonlydir']) {
        rmSync(join(this.launch.folder, name), { recursive: true, force: true });
      }
    }
    await this.start();
  }
}
