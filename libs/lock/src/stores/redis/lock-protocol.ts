import { defineScript, type RedisClient, type RedisConnections, ScriptBatch } from '@yuxi/redis';

const LOCKS = defineScript('locks', new URL('../../lua/locks.lua', import.meta.url));

/** A process that waits counts as alive for this time after its last command, milliseconds. */
export const LEASE_MS = constantOf('LEASE');
/** Longest ttl of a lock that was granted to a waiter, until the waiter renews it, milliseconds. */
export const PROVISIONAL_MS = constantOf('PROVISIONAL');

/** `again` is `acquire` for a token that may already be queued or granted. `pump` refreshes the waiters of a process. */
export type LockOperation = 'acquire' | 'again' | 'release' | 'renew' | 'cancel' | 'pump' | 'force';

/**
 * Sends operations to the script `locks.lua`; those of one turn of the event loop share one EVALSHA. One script for each
 * lock would cost a client 1.5 times as much as the plain commands; together they cost less.
 */
export class LockScript {
  readonly #batch: ScriptBatch;

  constructor(redis: RedisClient) {
    this.#batch = new ScriptBatch(redis, LOCKS, { unwrapSingle: true });
  }

  /** @param token for `pump` the process */
  send(operation: LockOperation, key: string, token = '', ttlMs = 0, waitMs = 0): Promise<unknown> {
    return this.#batch.send([key], [operation, token, ttlMs, waitMs]);
  }
}

/** A message that a lock was granted to a waiter of this process. */
export interface GrantMessage {
  token: string;
  fence: number;
  key: string;
}

/** Receives the grants of this process: one channel for all its locks, subscribed when it first waits. */
export class GrantChannel {
  #client: RedisClient | undefined;

  constructor(
    private readonly connections: RedisConnections,
    private readonly process: string,
    private readonly listener: {
      granted(grant: GrantMessage): void;
      /** Subscribed, also after a reconnection: earlier messages may be lost. */
      subscribed(): void;
    },
  ) {}

  open(): void {
    if (this.#client) return;
    const client = this.connections.duplicate('subscriber', 'lock');
    this.#client = client;
    const channel = `yuxi:lockc:${this.process}`;
    client.on('message', (_channel: string, text: string) => this.#receive(text));
    const subscribe = () =>
      void client.subscribe(channel).then(
        () => this.listener.subscribed(),
        // After the reconnection `ready` is emitted again. Until then waiters check their locks themselves.
        () => undefined,
      );
    client.on('ready', subscribe);
    if (client.status === 'ready') subscribe();
  }

  async close(): Promise<void> {
    if (this.#client) await this.connections.close(this.#client);
  }

  #receive(text: string): void {
    const match = /^(\S+) (\d+) (.+)$/s.exec(text);
    if (match) this.listener.granted({ token: match[1]!, fence: Number(match[2]), key: match[3]! });
  }
}

/** Reads a constant of the script, so that it is defined once. */
function constantOf(name: string): number {
  const value = new RegExp(`^local ${name} = (\\d+)`, 'm').exec(LOCKS.source)?.[1];
  if (value === undefined) throw new Error(`locks.lua does not define ${name}`);
  return Number(value);
}
