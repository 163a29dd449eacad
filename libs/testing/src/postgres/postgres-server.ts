import { randomBytes } from 'node:crypto';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { Client } from 'pg';
import { Child } from '../child.js';

/** A user and group that a server runs as. */
export interface UserIds {
  uid: number;
  gid: number;
}

/** A new database in the server. */
export interface TestDatabase {
  url: string;
  /** Closes its connections and removes it. */
  drop(): Promise<void>;
}

/** A running PostgreSQL on a port of 127.0.0.1. It trusts every connection. */
export interface PostgresServer {
  host: string;
  port: number;
  /** URL of the database `postgres`. */
  url: string;
  readonly pid: number;
  /** Whether `CREATE EXTENSION vector` works. */
  readonly hasVector: boolean;
  createDatabase(): Promise<TestDatabase>;
  /** Ends the server and removes its files. */
  stop(): Promise<void>;
  /** SIGKILL; {@link restart} starts it again. */
  kill(): Promise<void>;
  /** Starts it again on the same port with its data; stops it first when it runs. */
  restart(): Promise<void>;
}

/** How {@link ManagedPostgres} starts the server. */
export interface PostgresLaunch {
  bin: string;
  folder: string;
  port: number;
  user?: UserIds;
  settings: Record<string, string>;
}

const READY_TIMEOUT_MS = 30_000;

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

  /** @throws Error with the last lines of the server when it ends before it answers */
  async start(): Promise<void> {
    const { bin, folder, port, user, settings } = this.launch;
    const options = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
    this.#child = await Child.start({
      name: `postgres :${port}`,
      command: join(bin, 'postgres'),
      args: ['-D', join(folder, 'data'), '-h', this.host, '-p', String(port), ...options],
      cwd: folder,
      logFile: join(folder, 'server.log'),
      // Immediate shutdown: also ends the workers and the shared memory, which SIGKILL does not.
      endSignal: 'SIGQUIT',
      ...user,
    });
    await this.#child.untilReady(() => this.#answers(), READY_TIMEOUT_MS);
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
        // The workers of a killed server end after a moment, and hold the shared memory until then.
        if (attempt === 10 || !(error instanceof Error) || !/shared memory block/.test(error.message)) throw error;
      }
    }
  }

  #urlOf(database: string): string {
    return `postgresql://postgres@${this.host}:${this.port}/${database}`;
  }

  async #query(...statements: string[]): Promise<void> {
    const client = new Client({ connectionString: this.url, connectionTimeoutMillis: 2_000 });
    // When the server ends, the connection reports it here and in the call.
    client.on('error', () => undefined);
    try {
      await client.connect();
      for (const statement of statements) await client.query(statement);
    } finally {
      await client.end();
    }
  }

  async #answers(): Promise<boolean> {
    // Another server on this port would answer too.
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
