import { randomBytes } from 'node:crypto';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { Client } from 'pg';
import { Child } from '../child.js';
import type { Account } from './account.js';

/** A database of its own inside the server. */
export interface TestDatabase {
  url: string;
  /** Ends its connections and removes it. */
  drop(): Promise<void>;
}

/** A running PostgreSQL of its own, on a port of 127.0.0.1; every connection is trusted. */
export interface PostgresServer {
  host: string;
  port: number;
  /** Of the database `postgres`. */
  url: string;
  readonly pid: number;
  /** Whether `CREATE EXTENSION vector` works here. */
  readonly hasVector: boolean;
  createDatabase(): Promise<TestDatabase>;
  /** Ends the server and removes its files. */
  stop(): Promise<void>;
  /** SIGKILL of the whole server; `restart` brings it back. */
  kill(): Promise<void>;
  /** Starts it again on the same port with its data; a running one is ended first. */
  restart(): Promise<void>;
}

/** What {@link ManagedPostgres} starts from. */
export interface PostgresLaunch {
  bin: string;
  folder: string;
  port: number;
  account?: Account;
  settings: Record<string, string>;
}

const READY_WITHIN = 30_000;

/** The process behind a {@link PostgresServer}. */
export class ManagedPostgres implements PostgresServer {
  readonly host = '127.0.0.1';
  readonly port: number;
  readonly url: string;
  hasVector = false;
  #child: Child | undefined;

  constructor(private readonly launch: PostgresLaunch) {
    this.port = launch.port;
    this.url = this.#urlOf('postgres');
  }

  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  /** @throws Error with the server's own words when it ends before it answers. */
  async start(): Promise<void> {
    const { bin, folder, port, account, settings } = this.launch;
    const options = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
    this.#child = await Child.start({
      name: `postgres :${port}`,
      command: join(bin, 'postgres'),
      args: ['-D', join(folder, 'data'), '-h', this.host, '-p', String(port), ...options],
      cwd: folder,
      logFile: join(folder, 'server.log'),
      // Immediate shutdown: takes the workers and the shared memory along, which SIGKILL would not.
      endSignal: 'SIGQUIT',
      ...account,
    });
    await this.#child.untilReady(() => this.#answers(), READY_WITHIN);
    this.hasVector = await this.#tryVector();
  }

  async createDatabase(): Promise<TestDatabase> {
    const name = `t_${randomBytes(8).toString('hex')}`;
    await this.#query(`CREATE DATABASE ${name}`);
    return { url: this.#urlOf(name), drop: () => this.#query(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`) };
  }

  async stop(): Promise<void> {
    await this.#child?.end('SIGQUIT');
    rmSync(this.launch.folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 });
  }

  async kill(): Promise<void> {
    await this.#child?.end('SIGKILL');
  }

  async restart(): Promise<void> {
    await this.#child?.end('SIGINT');
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.start();
      } catch (error) {
        // Workers of a killed server need a moment to notice, and hold the shared memory until then.
        if (attempt === 10 || !(error instanceof Error) || !/shared memory block/.test(error.message)) throw error;
      }
    }
  }

  #urlOf(database: string): string {
    return `postgresql://postgres@${this.host}:${this.port}/${database}`;
  }

  async #query(...statements: string[]): Promise<void> {
    const client = new Client({ connectionString: this.url, connectionTimeoutMillis: 2_000 });
    // A server that ends under the connection reports it here as well as in the call.
    client.on('error', () => undefined);
    try {
      await client.connect();
      for (const statement of statements) await client.query(statement);
    } finally {
      await client.end();
    }
  }

  async #answers(): Promise<boolean> {
    // Another server that holds the port would answer too.
    const own = `SELECT 1 / (current_setting('data_directory') = '${join(this.launch.folder, 'data')}')::int`;
    return this.#query(own).then(
      () => true,
      () => false,
    );
  }

  async #tryVector(): Promise<boolean> {
    return this.#query('BEGIN', 'CREATE EXTENSION vector', 'ROLLBACK').then(
      () => true,
      () => false,
    );
  }
}
