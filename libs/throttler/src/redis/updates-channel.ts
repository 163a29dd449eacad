import type { RedisClient, RedisConnections } from '@yuxi/redis';

const CHANNEL = 'yuxi:limiter_updates';

/** What happened to a key: `r` reset, `u` room was made, `f` full, `b` blocked. */
export type Update = 'r' | 'u' | 'f' | 'b';

/** Where processes tell each other what makes an answer known to one of them wrong or worth knowing: one channel for all keys. */
export class UpdatesChannel {
  #client: RedisClient | undefined;
  /** Whether messages arrive, as far as known. */
  listening = false;

  constructor(
    private readonly connections: RedisConnections,
    private readonly listener: {
      /** @param at microseconds of the server: of `r` and `u` when it happened, of `f` and `b` until when everything is refused */
      heard(update: Update, at: number, key: string): void;
      /** Subscribed, or again so: what was said before may have been missed. */
      subscribed(): void;
    },
  ) {}

  open(): void {
    const client = this.connections.duplicate('subscriber', 'limiter');
    this.#client = client;
    client.on('message', (_channel: string, text: string) => this.#receive(text));
    client.on('close', () => (this.listening = false));
    const subscribe = () => void this.#subscribe(client);
    client.on('ready', subscribe);
    if (client.status === 'ready') subscribe();
  }

  async close(): Promise<void> {
    this.listening = false;
    if (this.#client) await this.connections.close(this.#client);
  }

  async #subscribe(client: RedisClient): Promise<void> {
    try {
      await client.subscribe(CHANNEL);
      this.listening = true;
      this.listener.subscribed();
    } catch {
      // The connection is made again and `ready` comes again; until then every decision asks Redis.
    }
  }

  #receive(text: string): void {
    const match = /^([rufb]) (\d+) (.+)$/s.exec(text);
    if (match) this.listener.heard(match[1] as Update, Number(match[2]), match[3]!);
  }
}
