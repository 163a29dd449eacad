import { Periodic } from '@yuxi/core';
import type { Redis } from 'ioredis';
import type { RedisAvailability } from './availability.js';
import { KEY_PREFIX } from './keys.js';
import { SERVER_REASONS, unavailableReason } from './redis.errors.js';
import type { RedisClient } from './redis.tokens.js';

const PROBE_INTERVAL = 250;
const PROBE_TTL = 1000;
/** On a Cluster, so many keys that every master owns one of them (3 masters: 7 in a million times one owns none). */
const CLUSTER_PROBES = 32;

/** Sets {@link RedisAvailability} from the events of the shared connection and from failures of commands on any connection. */
export class AvailabilityMonitor {
  readonly #probes: Periodic;
  #probing = false;
  #stopped = false;

  constructor(
    private readonly client: RedisClient,
    private readonly availability: RedisAvailability,
  ) {
    client.on('ready', () => void this.#probe());
    client.on('error', (error: Error) => this.onConnectionError(error));
    for (const event of ['close', 'end'])
      client.on(event, () => {
        if (!this.#stopped) availability.markDown('closed');
      });
    const probe = () => {
      if (availability.state === 'down') void this.#probe();
    };
    this.#probes = new Periodic(probe, { every: PROBE_INTERVAL, jitter: 0 });
    this.#probes.start();
  }

  /** The shared client failed to connect, or lost its connection. */
  onConnectionError(error: Error): void {
    if (!this.#stopped) this.availability.markDown(unavailableReason(error) ?? 'error');
  }

  /** A command on any connection failed for `reason`. */
  onCommandFailure(reason: string): void {
    if (this.#stopped || this.#probing) return;
    if (SERVER_REASONS.has(reason)) this.availability.markDown(reason);
    // One slow or lost answer is no outage: the probe decides.
    else if (this.availability.state === 'up') void this.#probe();
  }

  stop(): void {
    this.#stopped = true;
    void this.#probes.stop();
  }

  async #probe(): Promise<void> {
    if (this.#probing || this.#stopped) return;
    this.#probing = true;
    const outcome = await this.#tryWrite();
    this.#probing = false;
    if (this.#stopped || outcome === 'unknown') return;
    if (outcome === undefined) this.availability.markUp();
    else this.availability.markDown(outcome);
  }

  /** @returns `undefined` when writes succeed, else the reason */
  async #tryWrite(): Promise<string | undefined> {
    try {
      if (this.client.status === 'ready') {
        await Promise.all(this.#probeKeys().map((key) => this.client.set(key, 1, 'PX', PROBE_TTL)));
        return undefined;
      }
      if (this.client.isCluster || this.client.status !== 'connect') return 'unknown';
      // ioredis stays in `connect` for as long as the server loads its data set.
      const info = await (this.client as Redis).info('persistence');
      return /^loading:1/m.test(info) ? 'loading' : 'unknown';
    } catch (error) {
      // A refusal for another cause (ACL) is an answer: the server works.
      return this.client.status === 'ready' ? unavailableReason(error) : 'unknown';
    }
  }

  #probeKeys(): string[] {
    const count = this.client.isCluster ? CLUSTER_PROBES : 1;
    return Array.from({ length: count }, (_, i) => `${KEY_PREFIX}probe:${i}`);
  }
}
