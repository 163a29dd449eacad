import { fileURLToPath } from 'node:url';
import { eventually, OrderedWorker, type RedisServer } from '@yuxi/testing';
import type { LimitPolicy, LimitState } from '@yuxi/throttler';

const WORKER = fileURLToPath(new URL('./limiter-worker.mjs', import.meta.url));

/** One request of a worker. */
export interface Asked {
  /** Monotonic milliseconds. All processes have the same clock. */
  at: number;
  ms: number;
  key: string;
  allowed: boolean;
  source?: string;
  error?: string;
}

export interface Target {
  policy: string;
  keys: string[];
}

export interface LimiterFleetOptions {
  redis: Pick<RedisServer, 'url'>;
  policies: LimitPolicy[];
  workers: number;
  /** Name of a fault in the worker, for controls. */
  control?: string;
}

/** Processes that share limits on one Redis. */
export class LimiterFleet {
  readonly #workers: OrderedWorker[] = [];

  static async start({ redis, policies, workers, control }: LimiterFleetOptions): Promise<LimiterFleet> {
    const fleet = new LimiterFleet();
    for (let i = 0; i < workers; i++) fleet.#workers.push(new OrderedWorker(WORKER));
    await fleet.#all('start', { redis: { url: redis.url }, policies, control });
    await eventually(async () => (await fleet.#all('replicas', {})).every((known) => known === workers), {
      describe: 'each worker to count all others',
    });
    return fleet;
  }

  /** Sends `times` requests at once, from all workers or from one. @returns those that were allowed or failed */
  async flood(target: Target, times: number, worker?: number): Promise<Asked[]> {
    const order = { ...target, times };
    if (worker !== undefined) return (await this.#workers[worker]!.order('flood', order)) as Asked[];
    return (await this.#all('flood', order)).flat() as Asked[];
  }

  /** Each worker sends requests for each target, one after another with a pause of `every` milliseconds. */
  async load(targets: Target[], every: number): Promise<void> {
    await this.#all('load', { targets, every });
    await eventually(async () => (await this.#all('asked', {})).every((asked) => (asked as number) > 100), {
      describe: 'the load to run',
    });
  }

  /** Ends the load. @returns its requests, and the longest time for which a worker's event loop was blocked */
  async unload(): Promise<{ asked: Asked[]; busyMs: number }> {
    const loads = (await this.#all('unload', {})) as { asked: Asked[]; busyMs: number }[];
    return { asked: loads.flatMap(({ asked }) => asked), busyMs: Math.max(...loads.map(({ busyMs }) => busyMs)) };
  }

  async inspect(worker: number, policy: string, key: string): Promise<LimitState> {
    return (await this.#workers[worker]!.order('inspect', { policy, key })) as LimitState;
  }

  signal(worker: number, signal: NodeJS.Signals): void {
    this.#workers[worker]!.signal(signal);
  }

  async stop(): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.kill()));
  }

  #all(name: string, order: object): Promise<unknown[]> {
    return Promise.all(this.#workers.map((worker) => worker.order(name, order)));
  }
}
