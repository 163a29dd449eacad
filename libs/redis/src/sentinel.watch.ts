import { isIPv4 } from 'node:net';
import { Redis } from 'ioredis';
import { SENTINEL_TIMEOUT } from './client.options.js';
import type { RedisEndpoint, ResolvedRedisOptions } from './redis.options.js';

const INTERVAL = 1000;

/**
 * Moves clients away from a master that was replaced but still serves. In a failover by command the Sentinels demote the old
 * master only at their next look at it, up to 10 s later; writes sent to it until then would be lost.
 */
export class SentinelWatch {
  readonly #timer: NodeJS.Timeout;
  #turn = 0;
  #asking = false;

  private constructor(
    private readonly options: ResolvedRedisOptions,
    private readonly sentinels: RedisEndpoint[],
    private readonly master: string,
    private readonly clients: () => Redis[],
  ) {
    this.#timer = setInterval(() => void this.#look(), INTERVAL).unref();
  }

  /** `undefined` where there are no Sentinels. */
  static start(options: ResolvedRedisOptions, clients: () => Redis[]): SentinelWatch | undefined {
    const { target } = options;
    return target.mode === 'sentinel' ? new SentinelWatch(options, target.sentinels, target.name, clients) : undefined;
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  async #look(): Promise<void> {
    if (this.#asking) return;
    this.#asking = true;
    try {
      // One Sentinel may be behind the others: the next one must say the same.
      let strays = this.clients().filter((client) => client.status === 'ready');
      for (let opinion = 0; opinion < 2 && strays.length > 0; opinion++) {
        const leader = await this.#ask(this.sentinels[this.#turn++ % this.sentinels.length]!);
        strays = leader ? strays.filter((client) => client.status === 'ready' && leadsElsewhere(leader, client)) : [];
      }
      for (const client of strays) client.disconnect(true);
    } finally {
      this.#asking = false;
    }
  }

  /** `undefined` when that Sentinel does not answer or does not know. */
  async #ask({ host, port }: RedisEndpoint): Promise<RedisEndpoint | undefined> {
    const sentinel = new Redis({
      host,
      port,
      username: this.options.sentinelUsername,
      password: this.options.sentinelPassword,
      tls: this.options.tls,
      connectTimeout: SENTINEL_TIMEOUT,
      commandTimeout: SENTINEL_TIMEOUT,
      retryStrategy: null,
      enableReadyCheck: false,
      disableClientInfo: true,
    });
    sentinel.on('error', () => undefined);
    try {
      const answer = await sentinel.call('sentinel', 'get-master-addr-by-name', this.master);
      if (!Array.isArray(answer)) return undefined;
      return { host: String(answer[0]), port: Number(answer[1]) };
    } catch {
      return undefined;
    } finally {
      sentinel.disconnect();
    }
  }
}

/** Host names and IPv6 spellings cannot be compared with a socket's address; the port can. */
function leadsElsewhere({ host, port }: RedisEndpoint, { stream }: Redis): boolean {
  if (port !== stream.remotePort) return true;
  const address = stream.remoteAddress?.replace(/^::ffff:/, '');
  return isIPv4(host) && address !== undefined && isIPv4(address) && host !== address;
}
