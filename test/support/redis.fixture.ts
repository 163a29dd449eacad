import { Logger } from '@nestjs/common';
import { RedisAvailability } from '../../libs/redis/src/availability.js';
import { RedisConnections } from '../../libs/redis/src/redis.connections.js';
import { describeTarget, type RedisOptions, resolveRedisOptions } from '../../libs/redis/src/redis.options.js';

export interface Opened extends AsyncDisposable {
  connections: RedisConnections;
  availability: RedisAvailability;
  client: RedisConnections['shared'];
}

/** The connections of RedisModule without Nest. `await using` closes them at the end of the test. */
export function open(options: RedisOptions): Opened {
  const resolved = resolveRedisOptions(options);
  const availability = new RedisAvailability(describeTarget(resolved.target));
  const connections = new RedisConnections(resolved, availability);
  const close = () => connections.onApplicationShutdown();
  return { connections, availability, client: connections.shared, [Symbol.asyncDispose]: close };
}

/** Collects the log lines of this process instead of printing them. */
export function captureLog(): string[] {
  const lines: string[] = [];
  const take = (message: unknown) => void lines.push(String(message));
  Logger.overrideLogger({ log: take, warn: take, error: take, debug: take, verbose: take, fatal: take });
  return lines;
}

/** A client that `using` disconnects at the end of the test, because an open one would keep the process alive. */
export function closing<T extends { disconnect(): void }>(client: T): T & Disposable {
  return Object.assign(client, { [Symbol.dispose]: () => client.disconnect() });
}

/** Duration of a call in milliseconds, and its error if it rejected. */
export async function timed(call: () => Promise<unknown>): Promise<{ ms: number; error?: unknown }> {
  const start = performance.now();
  try {
    await call();
    return { ms: performance.now() - start };
  } catch (error) {
    return { ms: performance.now() - start, error };
  }
}
