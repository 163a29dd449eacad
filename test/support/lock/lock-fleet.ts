import { type ChildProcess, fork } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { RedisOptions } from '@yuxi/redis';
import { eventually, type RedisServer } from '@yuxi/testing';

const WORKER = fileURLToPath(new URL('./lock-worker.mjs', import.meta.url));

/** A critical section of a worker whose lock was valid to the end. */
export interface Section {
  worker: number;
  /** Monotonic milliseconds, the same clock for all processes. */
  requested: number;
  entered: number;
  left: number;
  fence: number;
  token?: string;
  /** Whether the guarded resource accepted the write. */
  accepted: boolean;
}

/** A section that did not begin, or whose lock was lost before its end. */
export interface Refusal {
  code: string;
  /** Why the lock was lost. */
  reason?: string;
  /** The section until then; `undefined`: it did not write. */
  section?: Section;
}

export interface LockFleetOptions {
  /** Options of the workers for the Redis of the lock. */
  redis: RedisOptions;
  /** Server of the guarded resource. */
  resourceServer: RedisServer;
  workers: number;
  /** Callers in each process. */
  loops: number;
  name?: string;
  /** Of LockModule. */
  options?: Record<string, unknown>;
  /** Shortest and longest pause of an owner between reading and writing, milliseconds; default 0 and 3. */
  pauseMs?: [number, number];
  /** Seed of the random pauses. */
  seed: number;
  /** False: the resource accepts every write. */
  fenced?: boolean;
  /** True: owners write without a check that their lock is valid. */
  unchecked?: boolean;
  /** False: the sections run without the lock. */
  locked?: boolean;
  /** Each caller runs one section. */
  once?: boolean;
}

/** Processes that contend for one lock and write to one guarded resource. */
export class LockFleet {
  readonly sections: Section[] = [];
  readonly refusals: Refusal[] = [];
  readonly unhandled: string[] = [];
  readonly #workers: ChildProcess[] = [];
  #ready = 0;
  #spawned = 0;

  constructor(private readonly options: LockFleetOptions) {}

  static async start(options: LockFleetOptions): Promise<LockFleet> {
    const fleet = new LockFleet(options);
    for (let worker = 0; worker < options.workers; worker++) fleet.spawn(worker);
    await fleet.ready();
    return fleet;
  }

  spawn(worker: number): void {
    const { resourceServer, ...order } = this.options;
    const child = fork(WORKER, { stdio: ['ignore', 'pipe', 'inherit', 'ipc'], execArgv: [] });
    this.#workers[worker] = child;
    createInterface({ input: child.stdout! }).on('line', (line) => this.#take(worker, line));
    child.send({ ...order, resourceUrl: resourceServer.url, seed: order.seed + this.#spawned++ });
  }

  async ready(): Promise<void> {
    const wanted = this.#workers.length;
    await eventually(() => this.#ready >= wanted, { timeout: 20_000, describe: 'the workers to start' });
  }

  signal(worker: number, signal: NodeJS.Signals): void {
    this.#workers[worker]!.kill(signal);
  }

  /** Kills the worker with SIGKILL and starts another one. */
  async replace(worker: number): Promise<void> {
    const before = this.#ready;
    await this.#end(worker);
    this.spawn(worker);
    await eventually(() => this.#ready > before, { timeout: 20_000, describe: 'the new worker to start' });
  }

  async kill(worker: number): Promise<void> {
    await this.#end(worker);
  }

  async stop(): Promise<void> {
    await Promise.all(this.#workers.map((_, worker) => this.#end(worker)));
  }

  /** Sections whose lock was lost before their end. */
  get lostSections(): Section[] {
    return this.refusals.flatMap(({ section }) => section ?? []);
  }

  /** Pairs of sections that ran at the same time. */
  overlaps(sections = this.sections): [Section, Section][] {
    const sorted = sections.toSorted((a, b) => a.entered - b.entered);
    return sorted.flatMap((one, i): [Section, Section][] => {
      const next = sorted[i + 1];
      return next && next.entered < one.left ? [[one, next]] : [];
    });
  }

  /** Number of sections whose fence is not higher than the one before. */
  fencesOutOfOrder(): number {
    const sorted = this.sections.toSorted((a, b) => a.entered - b.entered);
    return sorted.filter(({ fence }, i) => i > 0 && fence <= sorted[i - 1]!.fence).length;
  }

  /** Longest time without a grant after `at`. @param at CLOCK_MONOTONIC, milliseconds */
  longestGapAfter(at: number): number {
    const entered = this.sections.flatMap((section) => (section.entered > at ? [section.entered] : []));
    return Math.max(...entered.toSorted((a, b) => a - b).map((time, i, all) => time - (all[i - 1] ?? at)));
  }

  async #end(worker: number): Promise<void> {
    const child = this.#workers[worker]!;
    if (child.exitCode !== null || child.signalCode !== null) return;
    // Also ends a stopped process; `close` comes after its pipe was read to the end.
    const closed = new Promise((resolve) => child.once('close', resolve));
    child.kill('SIGKILL');
    await closed;
  }

  #take(worker: number, line: string): void {
    const { event, ...rest } = JSON.parse(line) as { event: string; error: string } & Section & Refusal;
    if (event === 'ready') this.#ready++;
    if (event === 'section') this.sections.push({ ...rest, worker });
    if (event === 'refused')
      this.refusals.push({ ...rest, ...(rest.section && { section: { ...rest.section, worker } }) });
    if (event === 'unhandled') this.unhandled.push(rest.error);
  }
}
