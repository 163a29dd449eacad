import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import { monotonicMs } from '@yuxi/core';
import type { RedisClient } from '@yuxi/redis';
import type { QueueLimits } from '../queue-limits.js';
import type { TaskRegistry } from '../task.registry.js';
import type { Beats } from '../beats/beats.js';
import type { Ends } from './outbox.js';
import { queueKey } from './queue-key.js';
import { JOIN, LEAVE, STEP } from './scripts.js';
import { type Place, readStep, type StepReply, type StepRequest, writeStep } from './step.wire.js';

/** How often a worker takes tasks that others did not know, milliseconds. */
const UNKNOWN_EVERY = 1000;

export interface MembershipParts {
  queue: string;
  registry: TaskRegistry;
  beats: Beats;
  limits: QueueLimits;
  /** Short commands. */
  redis: RedisClient;
  /** Milliseconds. */
  lease: number;
}

export interface MembershipEvents {
  /** The queue has given what this member held to others. */
  lost: () => void;
  /** Somebody cancelled something: the next step tells what. */
  curious: () => void;
}

/** What a member says with a step. */
export type Said = Ends &
  Pick<StepRequest, 'want' | 'places' | 'holds' | 'idle'> & {
    /** All that it holds, asked for only when an answer is missing. */
    held: () => readonly Place[];
  };

/**
 * A worker as its queue knows it: a name for as long as it beats, and steps with numbers, so that the queue repeats an answer that got
 * lost on the way.
 */
export class Membership {
  readonly key: string;
  #id = '';
  #joined = false;
  #number = 0;
  #answered = 0;
  #cancels = '';
  #cancelled: ReadonlySet<string> = new Set();
  #curious = false;
  /** The answer to a step is missing. */
  #unsure = false;
  #knowsAt = 0;

  constructor(
    private readonly parts: MembershipParts,
    private readonly events: MembershipEvents,
  ) {
    this.key = queueKey(parts.queue);
  }

  get id(): string {
    return this.#id;
  }

  get joined(): boolean {
    return this.#joined;
  }

  /** There is something to ask the queue, whether or not there is something to tell it. */
  get asks(): boolean {
    return !this.#joined || this.#unsure || this.#curious;
  }

  isCancelled(task: string): boolean {
    return this.#cancelled.has(task);
  }

  /** Under a new name. @throws what Redis does */
  async join(): Promise<void> {
    const { redis, lease, beats } = this.parts;
    this.#id = `${hostname()}:${process.pid}:${randomBytes(4).toString('hex')}`;
    this.#number = this.#answered = this.#knowsAt = 0;
    await JOIN.run(redis, [this.key], [this.#id, lease]);
    this.#joined = true;
    beats.join(this.key, this.#id, {
      lost: this.events.lost,
      cancels: (list) => {
        if (list === this.#cancels) return;
        this.#curious = true;
        this.events.curious();
      },
    });
  }

  /**
   * @returns `no member` also when the membership was lost while the answer was on its way: what it gives is with others
   * @throws what Redis does; whether the queue took the step is not known then, and the next one asks
   */
  async step({ held, ...said }: Said): Promise<StepReply> {
    const { redis, limits, queue } = this.parts;
    const id = this.#id;
    const request = {
      ...said,
      worker: id,
      number: ++this.#number,
      answered: this.#answered,
      cancels: this.#cancels,
      limit: limits.of(queue),
      knows: this.#knows(),
      known: this.#unsure ? held() : undefined,
    };
    this.#unsure = true;
    const reply = readStep(await STEP.run(redis, [this.key], writeStep(request)));
    if (!this.#joined || this.#id !== id) return { state: 'no member' };
    if (reply.state !== 'ok') return reply;
    this.#answered = request.number;
    this.#unsure = this.#curious = false;
    if (reply.cancels) {
      this.#cancels = reply.cancels.list;
      this.#cancelled = new Set(reply.cancels.ids);
    }
    return reply;
  }

  /** The queue knows it no more, or soon will not. */
  forget(): void {
    this.parts.beats.leave(this.key);
    this.#joined = this.#unsure = false;
  }

  /** Never rejects. */
  async leave(): Promise<void> {
    this.forget();
    await LEAVE.run(this.parts.redis, [this.key], [this.#id]).catch(() => undefined);
  }

  /** Not with every step, as it costs more than most of them. */
  #knows(): Record<string, number> | undefined {
    const now = monotonicMs();
    if (now < this.#knowsAt) return undefined;
    this.#knowsAt = now + UNKNOWN_EVERY;
    return Object.fromEntries(this.parts.registry.all().map(({ name, version }) => [name, version]));
  }
}
