import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import { Logger } from '@nestjs/common';
import { jitter, monotonicMs, sleep } from '@yuxi/core';
import type { RedisClient } from '@yuxi/redis';
import type { QueueLimits } from '../queue-limits.js';
import type { TaskMetrics } from '../task.metrics.js';
import type { TaskRegistry } from '../task.registry.js';
import { TaskCancelledError, TaskHandedBackError, TaskLostError } from '../tasks.errors.js';
import type { Beats } from './beats.js';
import { HeldTask, keyOf } from './held-task.js';
import { Outbox } from './outbox.js';
import { Pace } from './pace.js';
import { Places, type RunOutcome } from './places.js';
import { queueKey } from './queue-key.js';
import { JOIN, LEAVE, STEP } from './scripts.js';
import { type GivenTask, readStep, type StepReply, writeStep } from './step.wire.js';
import { WakeList } from './wake-list.js';

/** How often a worker takes tasks that others did not know, milliseconds. */
const UNKNOWN_EVERY = 1000;
const AGAIN_AFTER = 100;
/** After the signals of a shutdown, handlers get so long to end by themselves, milliseconds. */
const LAST_WORDS = 1000;
/** A shutdown waits no longer than this for Redis, milliseconds. */
const GOODBYE = 3000;

export interface StreamWorkerParts {
  queue: string;
  registry: TaskRegistry;
  metrics: TaskMetrics;
  beats: Beats;
  limits: QueueLimits;
  /** Short commands. */
  redis: RedisClient;
  /** Nothing else may use it. */
  blocking: RedisClient;
  /** How many may run here. */
  places: () => number;
  /** Milliseconds. */
  lease: number;
  /** Milliseconds. */
  shutdownGrace: number;
}

/** Runs the tasks of one queue. Everything it tells the queue, and is given, goes through one script at a time. */
export class StreamWorker {
  readonly #log = new Logger('StreamWorker');
  readonly #key: string;
  readonly #held = new Map<string, HeldTask>();
  readonly #outbox = new Outbox();
  readonly #pace = new Pace();
  readonly #wakeList: WakeList;
  readonly #places: Places;
  #id = '';
  #number = 0;
  #answered = 0;
  #cancels = '';
  #cancelled: ReadonlySet<string> = new Set();
  #joined = false;
  #idle = false;
  #draining = false;
  /** The answer to a step is missing. */
  #unsure = false;
  /** Somebody cancelled something. */
  #curious = false;
  #stopping = false;
  #scheduled = false;
  #busy?: Promise<void>;
  #failing = false;
  #turnedAt = monotonicMs();
  #notBefore = 0;
  #knowsAt = 0;
  #later = false;

  constructor(private readonly parts: StreamWorkerParts) {
    this.#key = queueKey(parts.queue);
    const { registry, metrics, places: size } = parts;
    this.#places = new Places({
      registry,
      metrics,
      size,
      ended: (held, outcome, ms) => {
        this.#pace.ran(ms);
        this.#end(held, outcome);
      },
    });
    this.#wakeList = new WakeList(parts.blocking, () => {
      this.#idle = false;
      this.#kick();
    });
  }

  get queue(): string {
    return this.parts.queue;
  }

  /** Milliseconds since it last spoke to its queue; 0 while all its places are taken and it has nothing to say. */
  get stillFor(): number {
    const silent = !this.#busy && (this.#stopping || this.#places.running >= this.#places.size);
    return silent ? 0 : monotonicMs() - this.#turnedAt;
  }

  start(): void {
    this.#kick();
  }

  /** Looks for tasks at once. */
  poke(): void {
    this.#idle = false;
    this.#kick();
  }

  /** Hands back at once what has not begun, lets handlers finish within the grace, then hands the rest back. */
  async stop(): Promise<void> {
    this.#stopping = true;
    for (const held of this.#places.withdrawAll()) this.#end(held, { status: 'pending', counted: false });
    this.#kick();
    await this.#until(() => this.#places.running === 0, this.parts.shutdownGrace);
    this.#places.abort((id) => new TaskHandedBackError(id));
    await this.#until(() => this.#places.running === 0, LAST_WORDS);
    await this.#until(() => this.#outbox.size === 0 && !this.#busy, GOODBYE);
    if (!this.#joined) return;
    this.parts.beats.leave(this.#key);
    await LEAVE.run(this.parts.redis, [this.#key], [this.#id]).catch(() => undefined);
    this.#joined = false;
  }

  #kick(): void {
    if (this.#scheduled || this.#busy) return;
    this.#scheduled = true;
    // What ends in one turn of the event loop goes together.
    setImmediate(() => {
      this.#scheduled = false;
      if (!this.#hasNews()) return;
      this.#busy = this.#turn().finally(() => {
        this.#busy = undefined;
        // The next step is on its way before the tasks of this one begin.
        if (!this.#hasNews()) return this.#places.begin();
        this.#kick();
        setImmediate(() => this.#places.begin());
      });
    });
  }

  #hasNews(): boolean {
    if (this.#stopping && !this.#joined) return false;
    if (!this.#joined || this.#unsure || this.#curious || this.#isHungry()) return true;
    if (this.#outbox.size === 0 && (this.#idle || this.#want() === 0)) return false;
    const pause = this.#stopping ? 0 : this.#pace.pause;
    if (pause > 0) this.#kickIn(pause);
    return pause <= 0;
  }

  /** A place is free, and there may be a task for it. */
  #isHungry(): boolean {
    const { running, waiting, size } = this.#places;
    return !this.#idle && waiting === 0 && running < size && this.#want() > 0;
  }

  #kickIn(ms: number): void {
    if (this.#later) return;
    this.#later = true;
    setTimeout(() => {
      this.#later = false;
      this.#kick();
    }, ms);
  }

  #want(): number {
    if (this.#stopping || this.#draining) return 0;
    // Suspects have the process for themselves.
    if (this.#held.size > 0 && this.#held.values().next().value?.suspect) return 0;
    const { size, free } = this.#places;
    const ahead = this.#pace.ahead(size);
    const most = Math.max(size, (size + ahead) / 2);
    return Math.max(0, Math.floor(Math.min(free + ahead, most)));
  }

  async #turn(): Promise<void> {
    this.#turnedAt = monotonicMs();
    const pause = this.#notBefore - monotonicMs();
    if (pause > 0) await sleep(pause);
    try {
      if (!this.#joined) await this.#join();
      await this.#step();
      if (this.#failing) this.#log.log(`queue ${this.parts.queue}: Redis answers again`);
      this.#failing = false;
    } catch (error) {
      this.#unsure = this.#joined;
      this.#notBefore = monotonicMs() + jitter(AGAIN_AFTER);
      if (!this.#failing) this.#log.warn(`queue ${this.parts.queue} waits for Redis: ${(error as Error).message}`);
      this.#failing = true;
    }
  }

  async #join(): Promise<void> {
    this.#id = `${hostname()}:${process.pid}:${randomBytes(4).toString('hex')}`;
    this.#number = this.#answered = 0;
    await JOIN.run(this.parts.redis, [this.#key], [this.#id, this.parts.lease]);
    this.#joined = true;
    this.#knowsAt = 0;
    this.#idle = false;
    this.parts.beats.join(this.#key, this.#id, {
      lost: () => this.#lost(),
      cancels: (list) => {
        if (list === this.#cancels) return;
        this.#curious = true;
        this.#kick();
      },
    });
  }

  async #step(): Promise<void> {
    const { redis } = this.parts;
    const ends = this.#outbox.take();
    const want = this.#want();
    const request = {
      worker: this.#id,
      number: ++this.#number,
      answered: this.#answered,
      want,
      places: Math.max(0, this.#places.free),
      holds: this.#held.size,
      idle: this.#idle,
      cancels: this.#cancels,
      limit: this.parts.limits.of(this.parts.queue),
      ...ends,
      knows: this.#knows(),
      known: this.#unsure ? [...this.#held.values()].map(({ at }) => at) : undefined,
    };
    const stepped = this.#pace.stepping();
    let reply: StepReply;
    try {
      reply = readStep(await STEP.run(redis, [this.#key], writeStep(request)));
    } catch (error) {
      this.#outbox.putBack(ends);
      throw error;
    }
    if (reply.state !== 'ok') {
      if (reply.state === 'no member') return this.#lost();
      this.#outbox.putBack(ends);
      this.#unsure = true;
      return;
    }
    this.#answered = request.number;
    stepped(reply.tasks.length >= want);
    this.#unsure = this.#curious = false;
    this.#draining = reply.drain && this.#held.size > 0;
    if (reply.cancels) {
      this.#cancels = reply.cancels.list;
      this.#cancelled = new Set(reply.cancels.ids);
      for (const held of this.#held.values()) this.#cancelIfAsked(held);
    }
    for (const given of reply.tasks) this.#receive(given);
    this.#idle = reply.tasks.length < want;
    if (this.#idle) this.#wakeList.wait(`${this.#key}:k:${this.#id}`, reply.due);
  }

  /** Not with every step, as it costs more than most of them. */
  #knows(): Record<string, number> | undefined {
    const now = monotonicMs();
    if (now < this.#knowsAt) return undefined;
    this.#knowsAt = now + UNKNOWN_EVERY;
    return Object.fromEntries(this.parts.registry.all().map(({ name, version }) => [name, version]));
  }

  #receive(given: GivenTask): void {
    if (this.#held.has(keyOf(given.at))) return;
    let held: HeldTask;
    try {
      held = new HeldTask(given);
    } catch {
      const { at, envelope } = given;
      return this.#outbox.otherwise({ kind: 'dead', at, attempts: 0, reason: 'it cannot be read', envelope });
    }
    this.#held.set(held.key, held);
    const { name, version } = held.task;
    const handler = this.parts.registry.get(name);
    if (this.#stopping) return this.#end(held, { status: 'pending', counted: false });
    if (!handler || handler.version < version) {
      this.#held.delete(held.key);
      return this.#outbox.otherwise({ kind: 'unknown', at: held.at, name, version });
    }
    this.#places.add(held);
    this.#cancelIfAsked(held);
  }

  #cancelIfAsked(held: HeldTask): void {
    if (!this.#cancelled.has(held.task.id)) return;
    if (held.run) return held.run.abort(new TaskCancelledError(held.task.id));
    if (this.#places.withdraw(held)) this.#end(held, { status: 'cancelled' });
  }

  #end(held: HeldTask, outcome: RunOutcome): void {
    // Another may hold it by now.
    if (this.#held.get(held.key) === held) {
      this.#held.delete(held.key);
      held.end(this.#outbox, outcome);
    }
    if (this.#held.size === 0) this.#draining = false;
    this.#kick();
  }

  /** Others have what this worker held. */
  #lost(): void {
    if (!this.#joined) return;
    this.#log.warn(`worker ${this.#id} was away for too long: what it runs is given to others`);
    this.parts.beats.leave(this.#key);
    this.#places.abort((id) => new TaskLostError(id, 'the queue took it back'));
    this.#places.withdrawAll();
    this.#held.clear();
    this.#outbox.clear();
    this.#joined = this.#unsure = this.#draining = this.#idle = false;
    this.#kick();
  }

  async #until(done: () => boolean, limit: number): Promise<void> {
    const end = monotonicMs() + limit;
    while (!done() && monotonicMs() < end) await sleep(Math.min(5, limit));
  }
}
