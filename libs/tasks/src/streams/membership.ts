import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import { monotonicMs } from '@yuxi/core';
import type { RedisClient, ScriptArgument } from '@yuxi/redis';
import type { StreamHeartbeat } from '../heartbeat/stream-heartbeat.js';
import type { QueueLimits, ResolvedQueueLimit } from '../limits.js';
import type { TaskRegistry } from '../task.registry.js';
import { JOIN, LEAVE, queueKey, STEP } from './scripts.js';

/** How often a worker sends the names of its handlers, to receive tasks that other workers did not know, milliseconds. */
const SEND_HANDLERS_EVERY = 1000;

export interface MembershipParts {
  queue: string;
  registry: TaskRegistry;
  heartbeat: StreamHeartbeat;
  limits: QueueLimits;
  /** For short commands. */
  redis: RedisClient;
  /** Milliseconds. */
  lease: number;
}

export interface MembershipEvents {
  /** The lease expired, and the queue gives the tasks of this worker to others. */
  lost: () => void;
  /** A task of the queue was cancelled. The reply to the next step lists all cancelled tasks. */
  cancelsChanged: () => void;
}

/** An entry of one of the three streams of a queue. */
export interface EntryRef {
  /** 1 high, 2 normal, 3 low. */
  stream: number;
  entry: string;
}

/** Acknowledgement of a task that did not succeed. */
export type OtherAck =
  | { kind: 'retry'; at: EntryRef; delay: number; id: string; envelope: string }
  | { kind: 'dead'; at: EntryRef; attempts: number; reason: string; envelope: string }
  | { kind: 'cancelled'; at: EntryRef; id: string }
  | { kind: 'returned'; at: EntryRef }
  | { kind: 'unknown'; at: EntryRef; name: string; version: number };

/** Releases the dedupe key of a task that has ended. */
export interface DedupeRelease {
  key: string;
  id: string;
}

/** What a worker acknowledges in one step. */
export interface Acks {
  succeeded: EntryRef[];
  others: OtherAck[];
  releases: DedupeRelease[];
}

export interface StepRequest extends Readonly<Acks> {
  worker: string;
  /** Number of this step. */
  number: number;
  /** Number of the last step whose reply the worker has received. */
  answered: number;
  /** Tasks that the worker requests. */
  requested: number;
  /** Tasks that the worker can begin at once. */
  slots: number;
  /** Tasks that the worker holds after this step. */
  holds: number;
  idle: boolean;
  /** Name of the latest list of cancelled tasks that the worker has received. */
  cancels: string;
  /** Of the queue, over all workers. */
  limit?: ResolvedQueueLimit;
  /** Highest version by task name. Sent from time to time only. */
  handlers?: Readonly<Record<string, number>>;
  /** Entries that the worker holds, sent when the reply to an earlier step is missing. */
  held?: readonly EntryRef[];
}

/** What the worker itself adds to a step. */
export type StepInput = Acks &
  Pick<StepRequest, 'requested' | 'slots' | 'holds' | 'idle'> & {
    /** Called only when the reply to an earlier step is missing. */
    held: () => readonly EntryRef[];
  };

export interface ClaimedEntry {
  at: EntryRef;
  /** 1, or more for a task whose process crashed. */
  begun: number;
  envelope: string;
}

export type StepReply =
  | { state: 'no member' | 'too late' | 'recount' }
  | {
      state: 'ok';
      /** Milliseconds until a task is due; negative when none is. */
      due: number;
      /** The worker requests no task until it holds none. */
      drain: boolean;
      cancels?: { list: string; ids: readonly string[] };
      tasks: ClaimedEntry[];
    };

/**
 * A worker as its queue records it. It is a member under one name as long as its lease is renewed. Its steps are numbered, so that
 * the queue can repeat a reply that was lost.
 */
export class Membership {
  readonly key: string;
  #id = '';
  #joined = false;
  #number = 0;
  #answered = 0;
  #cancelList = '';
  #cancelled: ReadonlySet<string> = new Set();
  #cancelsChanged = false;
  #replyMissing = false;
  #sendHandlersAt = 0;

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

  /** Whether a step is needed even if the worker has nothing to acknowledge and requests no task. */
  get needsStep(): boolean {
    return !this.#joined || this.#replyMissing || this.#cancelsChanged;
  }

  isCancelled(task: string): boolean {
    return this.#cancelled.has(task);
  }

  /** Joins the queue under a new name. @throws what Redis throws */
  async join(): Promise<void> {
    const { redis, lease, heartbeat } = this.parts;
    this.#id = `${hostname()}:${process.pid}:${randomBytes(4).toString('hex')}`;
    this.#number = this.#answered = this.#sendHandlersAt = 0;
    await JOIN.run(redis, [this.key], [this.#id, lease]);
    this.#joined = true;
    heartbeat.join(this.key, this.#id, {
      lost: this.events.lost,
      cancels: (list) => {
        if (list === this.#cancelList) return;
        this.#cancelsChanged = true;
        this.events.cancelsChanged();
      },
    });
  }

  /**
   * Acknowledges tasks and requests new ones.
   * @returns `no member` also when the membership was lost before the reply arrived: other workers run the tasks in it
   * @throws what Redis throws; the queue may still have executed the step, and the next step finds out
   */
  async step({ held, ...input }: StepInput): Promise<StepReply> {
    const { redis, limits, queue } = this.parts;
    const id = this.#id;
    const request = {
      ...input,
      worker: id,
      number: ++this.#number,
      answered: this.#answered,
      cancels: this.#cancelList,
      limit: limits.of(queue),
      handlers: this.#handlersIfDue(),
      held: this.#replyMissing ? held() : undefined,
    };
    this.#replyMissing = true;
    const reply = readReply(await STEP.run(redis, [this.key], writeRequest(request)));
    if (!this.#joined || this.#id !== id) return { state: 'no member' };
    if (reply.state !== 'ok') return reply;
    this.#answered = request.number;
    this.#replyMissing = this.#cancelsChanged = false;
    if (reply.cancels) {
      this.#cancelList = reply.cancels.list;
      this.#cancelled = new Set(reply.cancels.ids);
    }
    return reply;
  }

  /** Ends the membership in this process, without a command to Redis. */
  forget(): void {
    this.parts.heartbeat.leave(this.key);
    this.#joined = this.#replyMissing = false;
  }

  /** Leaves the queue. Never rejects: without the command the lease expires. */
  async leave(): Promise<void> {
    this.forget();
    await LEAVE.run(this.parts.redis, [this.key], [this.#id]).catch(() => undefined);
  }

  /** Looking for such tasks costs more than most steps, so that it is not done in each. */
  #handlersIfDue(): Record<string, number> | undefined {
    const now = monotonicMs();
    if (now < this.#sendHandlersAt) return undefined;
    this.#sendHandlersAt = now + SEND_HANDLERS_EVERY;
    return Object.fromEntries(this.parts.registry.all().map(({ name, version }) => [name, version]));
  }
}

const STREAMS = [1, 2, 3];
const REFUSED = ['no member', 'too late', 'recount'] as const;

/** Arguments of `step.lua`. */
function writeRequest(step: StepRequest): ScriptArgument[] {
  const letters = (step.idle ? 'i' : '') + (step.handlers ? 'k' : '') + (step.held ? 'r' : '');
  const { worker, number, answered, requested, slots, holds, cancels } = step;
  const limit = writeLimit(step.limit);
  const args: ScriptArgument[] = [worker, number, answered, requested, slots, holds, letters, cancels, limit];
  for (const stream of STREAMS) {
    const entries = step.succeeded.flatMap((at) => (at.stream === stream ? at.entry : []));
    args.push(entries.length, ...entries);
  }
  args.push(step.others.length);
  for (const ack of step.others) args.push(...writeAck(ack));
  args.push(step.releases.length);
  for (const { key, id } of step.releases) args.push(key, id);
  if (step.handlers) args.push(Object.keys(step.handlers).length, ...Object.entries(step.handlers).flat());
  for (const { stream, entry } of step.held ?? []) args.push(`${stream}:${entry}`);
  return args;
}

function writeLimit(limit: ResolvedQueueLimit | undefined): string {
  return limit ? `${limit.concurrency ?? ''}:${limit.rate?.tasks ?? ''}:${limit.rate?.per ?? ''}` : '';
}

function writeAck(ack: OtherAck): ScriptArgument[] {
  const { stream, entry } = ack.at;
  if (ack.kind === 'retry') return ['r', stream, entry, Math.ceil(ack.delay), ack.id, ack.envelope];
  if (ack.kind === 'dead') return ['d', stream, entry, ack.attempts, ack.reason, ack.envelope];
  if (ack.kind === 'cancelled') return ['c', stream, entry, ack.id, '', ''];
  if (ack.kind === 'unknown') return ['p', stream, entry, ack.name, ack.version, ''];
  return ['b', stream, entry, '', '', ''];
}

function readReply(reply: unknown): StepReply {
  const [state, due, mode, cancels, ...given] = reply as [number, number, number, string[] | '', ...unknown[]];
  if (state !== 1) return { state: REFUSED[-state]! };
  const tasks: ClaimedEntry[] = [];
  for (let i = 0; i < given.length; i += 3) {
    const [stream, begun, entries] = given.slice(i, i + 3) as [number, number, string[]];
    for (let k = 0; k < entries.length; k += 2)
      tasks.push({ at: { stream, entry: entries[k]! }, begun, envelope: entries[k + 1]! });
  }
  const [list, ...ids] = cancels;
  return { state: 'ok', due, drain: mode === 1, cancels: list === undefined ? undefined : { list, ids }, tasks };
}
