import { Logger } from '@nestjs/common';
import { jitter, monotonicMs, sleep } from '@yuxi/core';
import { type RedisClient, unavailableReason } from '@yuxi/redis';
import type { Once } from '../effects/once.js';
import type { TaskMetrics } from '../task.metrics.js';
import { TaskCancelledError, TaskHandedBackError, TaskLostError } from '../tasks.errors.js';
import { HeldTask, keyOf } from './held-task.js';
import { Membership, type MembershipParts } from './membership.js';
import { Outbox } from './outbox.js';
import { Pace } from './pace.js';
import { Places, type RunOutcome } from './places.js';
import type { GivenTask } from './step.wire.js';
import { Turns } from './turns.js';
import { WakeList } from './wake-list.js';

const AGAIN_AFTER = 100;
/** For so long a worker waits for its first connection without a word, milliseconds. */
const FIRST_CONNECTION = 5000;
/** After the signals of a shutdown, handlers get so long to end by themselves, milliseconds. */
const LAST_WORDS = 1000;
/** A shutdown waits no longer than this for Redis, milliseconds. */
const GOODBYE = 3000;

export interface StreamWorkerParts extends MembershipParts {
  metrics: TaskMetrics;
  effects: Once;
  /** Nothing else may use it. */
  blocking: RedisClient;
  /** How many may run here. */
  places: () => number;
  /** Milliseconds. */
  shutdownGrace: number;
}

/** Runs the tasks of one queue. Everything it tells the queue, and is given, goes through one script at a time. */
export class StreamWorker {
  readonly #log = new Logger('StreamWorker');
  readonly #held = new Map<string, HeldTask>();
  readonly #outbox = new Outbox();
  readonly #pace = new Pace();
  readonly #membership: Membership;
  readonly #turns: Turns;
  readonly #wakeList: WakeList;
  readonly #places: Places;
  #idle = false;
  #draining = false;
  #stopping = false;
  #failing = false;
  #turnedAt = monotonicMs();
  #notBefore = 0;
  #startedAt = 0;

  constructor(private readonly parts: StreamWorkerParts) {
    this.#membership = new Membership(parts, { lost: () => this.#lost(), curious: () => this.#turns.kick() });
    this.#turns = new Turns({
      due: () => this.#due(),
      turn: () => this.#turn(),
      rest: () => this.#places.begin(),
    });
    const { registry, metrics, effects, places: size } = parts;
    this.#places = new Places({
      registry,
      metrics,
      effects,
      size,
      ended: (held, outcome, ms) => {
        this.#pace.ran(ms);
        this.#end(held, outcome);
      },
    });
    this.#wakeList = new WakeList(parts.blocking, () => this.poke());
  }

  get queue(): string {
    return this.parts.queue;
  }

  /** Milliseconds since it last spoke to its queue; 0 while all its places are taken and it has nothing to say. */
  get stillFor(): number {
    const silent = !this.#turns.busy && (this.#stopping || this.#places.running >= this.#places.size);
    return silent ? 0 : monotonicMs() - this.#turnedAt;
  }

  start(): void {
    this.#startedAt = monotonicMs();
    this.#turns.kick();
  }

  /** Looks for tasks at once. */
  poke(): void {
    this.#idle = false;
    this.#turns.kick();
  }

  /** Hands back at once what has not begun, lets handlers finish within the grace, then hands the rest back. */
  async stop(): Promise<void> {
    this.#stopping = true;
    for (const held of this.#places.withdrawAll()) this.#end(held, { status: 'pending', counted: false });
    this.#turns.kick();
    await this.#until(() => this.#places.running === 0, this.parts.shutdownGrace);
    this.#places.abort((id) => new TaskHandedBackError(id));
    await this.#until(() => this.#places.running === 0, LAST_WORDS);
    await this.#until(() => this.#outbox.size === 0 && !this.#turns.busy, GOODBYE);
    if (this.#membership.joined) await this.#membership.leave();
  }

  /** Milliseconds until there is something to say. */
  #due(): number {
    if (this.#stopping && !this.#membership.joined) return Infinity;
    if (this.#membership.asks || this.#isHungry()) return 0;
    if (this.#outbox.size === 0 && (this.#idle || this.#want() === 0)) return Infinity;
    return this.#stopping ? 0 : this.#pace.pause;
  }

  /** A place is free, and there may be a task for it. */
  #isHungry(): boolean {
    const { running, waiting, size } = this.#places;
    return !this.#idle && waiting === 0 && running < size && this.#want() > 0;
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
      if (!this.#membership.joined) {
        await this.#membership.join();
        this.#idle = false;
      }
      await this.#step();
      if (this.#failing) this.#log.log(`queue ${this.parts.queue}: Redis answers again`);
      this.#failing = false;
    } catch (error) {
      this.#notBefore = monotonicMs() + jitter(AGAIN_AFTER);
      // The first connection takes its time.
      if (unavailableReason(error) === 'connecting' && monotonicMs() - this.#startedAt < FIRST_CONNECTION) return;
      if (!this.#failing) this.#log.warn(`queue ${this.parts.queue} waits for Redis: ${(error as Error).message}`);
      this.#failing = true;
    }
  }

  async #step(): Promise<void> {
    const ends = this.#outbox.take();
    const want = this.#want();
    const said = {
      ...ends,
      want,
      places: Math.max(0, this.#places.free),
      holds: this.#held.size,
      idle: this.#idle,
      held: () => [...this.#held.values()].map(({ at }) => at),
    };
    const stepped = this.#pace.stepping();
    const reply = await this.#membership.step(said).catch((error: unknown) => {
      if (this.#membership.joined) this.#outbox.putBack(ends);
      throw error;
    });
    if (reply.state === 'no member') return this.#lost();
    if (reply.state !== 'ok') return this.#outbox.putBack(ends);
    stepped(reply.tasks.length >= want);
    this.#draining = reply.drain && this.#held.size > 0;
    if (reply.cancels) for (const each of this.#held.values()) this.#cancelIfAsked(each);
    for (const given of reply.tasks) this.#receive(given);
    this.#idle = reply.tasks.length < want;
    if (this.#idle) this.#wakeList.wait(`${this.#membership.key}:k:${this.#membership.id}`, reply.due);
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
    if (!this.#membership.isCancelled(held.task.id)) return;
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
    this.#turns.kick();
  }

  /** Others have what this worker held. */
  #lost(): void {
    if (!this.#membership.joined) return;
    this.#log.warn(`worker ${this.#membership.id} was away for too long: what it runs is given to others`);
    this.#membership.forget();
    this.#places.abort((id) => new TaskLostError(id, 'the queue took it back'));
    this.#places.withdrawAll();
    this.#held.clear();
    this.#outbox.clear();
    this.#draining = this.#idle = false;
    this.#turns.kick();
  }

  async #until(done: () => boolean, limit: number): Promise<void> {
    const end = monotonicMs() + limit;
    while (!done() && monotonicMs() < end) await sleep(Math.min(5, limit));
  }
}
