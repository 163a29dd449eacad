import { Logger } from '@nestjs/common';
import { jitter, OptionsError, Periodic, sleep, type SqlListener, type SqlNotifications } from '@yuxi/core';
import { Client, type ClientConfig } from 'pg';
import type { PgliteSupervisor } from './pglite-supervisor.js';

const logger = new Logger('DatabaseListener');

/** The listeners of a process, by channel. */
class Listeners {
  readonly #byChannel = new Map<string, Set<SqlListener>>();

  get channels(): Iterable<string> {
    return this.#byChannel.keys();
  }

  /**
   * @returns a function that removes the listener; it returns whether that was the last one of its channel
   * @throws {OptionsError} for a name that `LISTEN` could not quote
   */
  add(channel: string, listener: SqlListener): () => boolean {
    if (!/^\w{1,63}$/.test(channel))
      throw new OptionsError('channel', '1..63 letters, digits and underscores', channel, 'SqlNotifications');
    const listeners = this.#byChannel.get(channel) ?? new Set();
    this.#byChannel.set(channel, listeners.add(listener));
    return () => {
      listeners.delete(listener);
      return listeners.size === 0 && this.#byChannel.get(channel) === listeners && this.#byChannel.delete(channel);
    };
  }

  isFirst(channel: string): boolean {
    return this.#byChannel.get(channel)?.size === 1;
  }

  message(channel: string, payload: string): void {
    this.#each(channel, (listener) => listener.message(payload));
  }

  /** @param listeners those that are informed; default: all of the channel */
  listening(channel: string, listeners?: Iterable<SqlListener>): void {
    this.#each(channel, (listener) => listener.listening(), listeners);
  }

  /** An error of one listener must not affect the others. */
  #each(
    channel: string,
    call: (listener: SqlListener) => void,
    listeners: Iterable<SqlListener> = this.#byChannel.get(channel) ?? [],
  ): void {
    for (const listener of listeners)
      try {
        call(listener);
      } catch (error) {
        logger.error('a listener for notifications of the database failed', error);
      }
  }
}

/** `LISTEN` in the embedded database, where only this process sends notifications. */
export class PgliteNotifications implements SqlNotifications {
  readonly #listeners = new Listeners();
  /** Channels on which PGlite listens now. */
  readonly #active = new Set<string>();

  constructor(private readonly supervisor: PgliteSupervisor) {
    supervisor.onNotification((channel, payload) => this.#listeners.message(channel, payload));
  }

  listen(channel: string, listener: SqlListener): () => Promise<void> {
    const remove = this.#listeners.add(channel, listener);
    if (this.#active.has(channel)) queueMicrotask(() => this.#listeners.listening(channel, [listener]));
    else if (this.#listeners.isFirst(channel))
      this.supervisor.listen(channel, () => {
        this.#active.add(channel);
        this.#listeners.listening(channel);
      });
    return async () => {
      if (!remove()) return;
      this.#active.delete(channel);
      await this.supervisor.unlisten(channel);
    };
  }
}

const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 1000;
/** Without a heartbeat, pg and the kernel detect a half-open connection only after minutes. */
const HEARTBEAT_MS = 1000;

/** `LISTEN` on one connection for all channels of the process. A lost connection is opened again while there are listeners. */
export class PostgresNotifications implements SqlNotifications {
  readonly #logger = new Logger('PostgresListener');
  readonly #listeners = new Listeners();
  readonly #closing = new AbortController();
  #client?: Client;
  #listening = false;
  #running?: Promise<void>;

  constructor(private readonly config: ClientConfig) {}

  listen(channel: string, listener: SqlListener): () => Promise<void> {
    const remove = this.#listeners.add(channel, listener);
    // After an error the connection is opened again, and listens on all channels.
    if (this.#listening) this.#subscribe(channel, [listener]).catch(() => this.#client?.connection.stream.destroy());
    this.#running ??= this.#run();
    return async () => {
      if (remove() && this.#listening) await this.#client?.query(`UNLISTEN "${channel}"`).catch(() => undefined);
    };
  }

  async close(): Promise<void> {
    this.#closing.abort();
    this.#client?.connection.stream.destroy();
    await this.#running;
  }

  async #run(): Promise<void> {
    let pause = FIRST_PAUSE_MS;
    let warned = false;
    while (!this.#closing.signal.aborted) {
      const error = await this.#untilLost(() => {
        if (warned) this.#logger.log('listening again');
        [pause, warned] = [FIRST_PAUSE_MS, false];
      });
      if (this.#closing.signal.aborted) return;
      const text = `the connection for notifications of the database was lost: ${error?.message ?? 'it ended'}`;
      if (warned) this.#logger.debug(text);
      else this.#logger.warn(text);
      warned = true;
      await sleep(jitter(pause), this.#closing.signal);
      pause = Math.min(pause * 2, LONGEST_PAUSE_MS);
    }
  }

  /** Opens one connection, and listens on it until it is lost. @returns why */
  async #untilLost(onListening: () => void): Promise<Error | undefined> {
    const client = new Client({
      ...this.config,
      application_name: 'yuxi listener',
      connectionTimeoutMillis: 2 * HEARTBEAT_MS,
      query_timeout: HEARTBEAT_MS,
      statement_timeout: undefined,
    });
    let lose!: (error?: Error) => void;
    const lost = new Promise<Error | undefined>((resolve) => (lose = resolve));
    client.on('error', lose);
    client.on('end', () => lose());
    client.on('notification', ({ channel, payload = '' }) => this.#listeners.message(channel, payload));
    this.#client = client;
    const heartbeat = new Periodic(() => client.query('SELECT 1'), {
      every: HEARTBEAT_MS,
      jitter: 0,
      onError: (error) => lose(error as Error),
    });
    try {
      await client.connect();
      for (const channel of this.#listeners.channels) await this.#subscribe(channel);
      this.#listening = true;
      onListening();
      heartbeat.start();
      return await lost;
    } catch (error) {
      return error as Error;
    } finally {
      void heartbeat.stop();
      this.#listening = false;
      client.connection.stream.destroy();
    }
  }

  async #subscribe(channel: string, listeners?: Iterable<SqlListener>): Promise<void> {
    await this.#client!.query(`LISTEN "${channel}"`);
    this.#listeners.listening(channel, listeners);
  }
}
