import type { RedisClient, RedisConnections } from '@yuxi/redis';

export interface PushedGrant {
  token: string;
  fence: number;
  key: string;
}

/** Where this process hears that a lock was handed to it: one channel for all its locks, opened when it first waits. */
export class GrantChannel {
  #client: RedisClient | undefined;

  constructor(
    private readonly connections: RedisConnections,
    private readonly process: string,
    private readonly listener: {
      granted(grant: PushedGrant): void;
      /** Subscribed, or again so: what was pushed before may have been lost. */
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
        // The connection is made again and `ready` comes again; until then waiters look by themselves.
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
