import { Logger } from '@nestjs/common';
import { jitter, sleep, type SqlListener, type SqlNotifications } from '@yuxi/core';
import { Client, type ClientConfig } from 'pg';
import { checkChannel } from './channel.js';
import { guarded } from './guarded.js';

const FIRST_PAUSE = 100;
const LONGEST_PAUSE = 1000;
/** A half-open link never tells: pg and the kernel wait for minutes. */
const HEARTBEAT = 1000;

const logger = new Logger('PostgresListener');

/** `LISTEN` on one connection of its own for all channels of the process, which it opens anew for as long as somebody listens. */
export class PostgresNotifications implements SqlNotifications {
  readonly #listeners = new Map<string, Set<SqlListener>>();
  readonly #closing = new AbortController();
  #client?: Client;
  #listening = false;
  #running?: Promise<void>;

  constructor(private readonly config: ClientConfig) {}

  listen(channel: string, listener: SqlListener): () => Promise<void> {
    checkChannel(channel);
    const others = this.#listeners.get(channel) ?? new Set();
    this.#listeners.set(channel, others.add(listener));
    if (this.#listening) void this.#join(channel, [listener]);
    this.#running ??= this.#run();
    return async () => {
      others.delete(listener);
      if (others.size === 0 && this.#listeners.delete(channel) && this.#listening)
        await this.#client?.query(`UNLISTEN "${channel}"`).catch(() => undefined);
    };
  }

  async close(): Promise<void> {
    this.#closing.abort();
    this.#client?.connection.stream.destroy();
    await this.#running;
  }

  async #run(): Promise<void> {
    let pause = FIRST_PAUSE;
    let told = false;
    while (!this.#closing.signal.aborted) {
      const error = await this.#connection(() => {
        if (told) logger.log('listening again');
        [pause, told] = [FIRST_PAUSE, false];
      });
      if (this.#closing.signal.aborted) return;
      const text = `the connection for notices of the database was lost: ${error?.message ?? 'it ended'}`;
      if (told) logger.debug(text);
      else logger.warn(text);
      told = true;
      await sleep(jitter(pause), this.#closing.signal);
      pause = Math.min(pause * 2, LONGEST_PAUSE);
    }
  }

  /** One connection, from its beginning to its end. @returns why it ended */
  async #connection(listening: () => void): Promise<Error | undefined> {
    const client = new Client({
      ...this.config,
      application_name: 'yuxi listener',
      connectionTimeoutMillis: 2 * HEARTBEAT,
      query_timeout: HEARTBEAT,
      statement_timeout: undefined,
    });
    const ended = new Promise<Error | undefined>((resolve) => {
      client.on('error', resolve);
      client.on('end', () => resolve(undefined));
    });
    client.on('notification', ({ channel, payload = '' }) => this.#each(channel, (each) => each.message(payload)));
    this.#client = client;
    try {
      await client.connect();
      for (const channel of this.#listeners.keys()) await this.#join(channel);
      this.#listening = true;
      listening();
      return await Promise.race([ended, this.#beat(client)]);
    } catch (error) {
      return error as Error;
    } finally {
      this.#listening = false;
      client.connection.stream.destroy();
    }
  }

  async #join(channel: string, listeners?: Iterable<SqlListener>): Promise<void> {
    await this.#client!.query(`LISTEN "${channel}"`);
    for (const each of listeners ?? this.#listeners.get(channel) ?? []) guarded(() => each.listening());
  }

  /** @throws what the server said, or that it said nothing */
  async #beat(client: Client): Promise<undefined> {
    for (;;) {
      await sleep(HEARTBEAT, this.#closing.signal);
      if (this.#closing.signal.aborted) return undefined;
      await client.query('SELECT 1');
    }
  }

  #each(channel: string, tell: (listener: SqlListener) => void): void {
    for (const listener of this.#listeners.get(channel) ?? []) guarded(() => tell(listener));
  }
}
