import type { ScriptArgument } from '@yuxi/redis';
import type { ResolvedQueueLimit } from '../queue-limits.js';

const STREAMS = [1, 2, 3];
const REFUSED = ['no member', 'too late', 'recount'] as const;

/** An entry of one of the three streams of a queue. */
export interface Place {
  /** 1 high, 2 normal, 3 low. */
  stream: number;
  entry: string;
}

/** How a task left its worker, other than well. */
export type OtherEnd =
  | { kind: 'again'; at: Place; delay: number; id: string; envelope: string }
  | { kind: 'dead'; at: Place; attempts: number; reason: string; envelope: string }
  | { kind: 'cancelled'; at: Place; id: string }
  | { kind: 'back'; at: Place }
  | { kind: 'unknown'; at: Place; name: string; version: number };

export interface Release {
  key: string;
  id: string;
}

/** What a worker says to its queue at once. */
export interface StepRequest {
  worker: string;
  number: number;
  /** The last step whose answer it has. */
  answered: number;
  want: number;
  /** Tasks it can begin at once. */
  places: number;
  holds: number;
  idle: boolean;
  /** The list of cancels it has seen. */
  cancels: string;
  /** Of the queue, over all workers. */
  limit?: ResolvedQueueLimit;
  over: readonly Place[];
  others: readonly OtherEnd[];
  releases: readonly Release[];
  /** Highest version by name, said now and then: tasks that others did not know are for those that do. */
  knows?: Readonly<Record<string, number>>;
  /** What it holds, when the answer to an earlier step is missing. */
  known?: readonly Place[];
}

export interface GivenTask {
  at: Place;
  /** 1, or more for a task that met a crash. */
  begun: number;
  envelope: string;
}

export type StepReply =
  | { state: 'no member' | 'too late' | 'recount' }
  | {
      state: 'ok';
      due: number;
      drain: boolean;
      cancels?: { list: string; ids: readonly string[] };
      tasks: GivenTask[];
    };

export function writeStep(step: StepRequest): ScriptArgument[] {
  const letters = (step.idle ? 'i' : '') + (step.knows ? 'k' : '') + (step.known ? 'r' : '');
  const { worker, number, answered, want, places, holds, cancels } = step;
  const args: ScriptArgument[] = [
    worker,
    number,
    answered,
    want,
    places,
    holds,
    letters,
    cancels,
    writeLimit(step.limit),
  ];
  for (const stream of STREAMS) {
    const entries = step.over.flatMap((at) => (at.stream === stream ? at.entry : []));
    args.push(entries.length, ...entries);
  }
  args.push(step.others.length);
  for (const end of step.others) args.push(...writeEnd(end));
  args.push(step.releases.length);
  for (const { key, id } of step.releases) args.push(key, id);
  if (step.knows) args.push(Object.keys(step.knows).length, ...Object.entries(step.knows).flat());
  for (const { stream, entry } of step.known ?? []) args.push(`${stream}:${entry}`);
  return args;
}

function writeLimit(limit: ResolvedQueueLimit | undefined): string {
  return limit ? `${limit.concurrency ?? ''}:${limit.rate?.tasks ?? ''}:${limit.rate?.per ?? ''}` : '';
}

function writeEnd(end: OtherEnd): ScriptArgument[] {
  const { stream, entry } = end.at;
  if (end.kind === 'again') return ['r', stream, entry, Math.ceil(end.delay), end.id, end.envelope];
  if (end.kind === 'dead') return ['d', stream, entry, end.attempts, end.reason, end.envelope];
  if (end.kind === 'cancelled') return ['c', stream, entry, end.id, '', ''];
  if (end.kind === 'unknown') return ['p', stream, entry, end.name, end.version, ''];
  return ['b', stream, entry, '', '', ''];
}

export function readStep(reply: unknown): StepReply {
  const [state, due, mode, cancels, ...given] = reply as [number, number, number, string[] | '', ...unknown[]];
  if (state !== 1) return { state: REFUSED[-state]! };
  const tasks: GivenTask[] = [];
  for (let i = 0; i < given.length; i += 3) {
    const [stream, begun, entries] = given.slice(i, i + 3) as [number, number, string[]];
    for (let k = 0; k < entries.length; k += 2)
      tasks.push({ at: { stream, entry: entries[k]! }, begun, envelope: entries[k + 1]! });
  }
  const [list, ...ids] = cancels;
  return { state: 'ok', due, drain: mode === 1, cancels: list === undefined ? undefined : { list, ids }, tasks };
}
