import { isIPv4 } from 'node:net';
import { Redis } from 'ioredis';
import type { RedisEndpoint } from './redis.options.js';
import type { Sentinels } from './sentinels.js';

/** How often a Sentinel is asked, one after the other, milliseconds: their news may be lost. */
const INTERVAL = 1000;
const LISTEN_AGAIN = 500;
/** A replica was promoted; the Sentinels have agreed on it, or this one heard of it. */
const NEWS = ['+promoted-slave', '+switch-master'];

/**
 * Moves clients away from a master that was replaced but still serves. In a failover by command the Sentinels demote the old
 * master only at their next look at it, up to 10 s later; writes sent to it until then would be lost. In place of ioredis'
 * `failoverDetector`, which leaves clients in status `end` for good when its message meets a reconnection.
 */
export class SentinelWatch {
  readonly #timer: NodeJS.Timeout;
  readonly #listeners: Redis[];
  #turn = 0;

  /** @param every milliseconds between two looks */
  constructor(
    private readonly sentinels: Sentinels,
    private readonly clients: () => Redis[],
    every = INTERVAL,
  ) {
    this.#timer = setInterval(() => void this.#hear(this.#next()), every).unref();
    this.#listeners = sentinels.endpoints.map((each) => this.#listen(each));
  }

  stop(): void {
    clearInterval(this.#timer);
    for (const each of this.#listeners) each.disconnect();
  }

  #next(): RedisEndpoint {
    const { endpoints } = this.sentinels;
    return endpoints[this.#turn++ % endpoints.length]!;
  }

  #listen(endpoint: RedisEndpoint): Redis {
    const options = { ...this.sentinels.connectionTo(endpoint), retryStrategy: () => LISTEN_AGAIN };
    const listener = new Redis({ ...options, autoResubscribe: false, enableOfflineQueue: false });
    listener.on('error', () => undefined);
    listener.on('ready', () => void listener.subscribe(...NEWS).catch(() => undefined));
    listener.on('message', (_channel, text) => {
      if (text.split(' ').includes(this.sentinels.masterName)) void this.#hear(endpoint);
    });
    return listener;
  }

  async #hear(from: RedisEndpoint): Promise<void> {
    const leader = await this.sentinels.hear(from);
    if (!leader) return;
    for (const client of this.clients())
      if (client.status === 'ready' && leadsElsewhere(leader, client)) client.disconnect(true);
  }
}

/** Host names and IPv6 spellings cannot be compared with a socket's address; the port can. */
function leadsElsewhere({ host, port }: RedisEndpoint, { stream }: Redis): boolean {
  if (port !== stream.remotePort) return true;
  const address = stream.remoteAddress?.replace(/^::ffff:/, '');
  return isIPv4(host) && address !== undefined && isIPv4(address) && host !== address;
}
