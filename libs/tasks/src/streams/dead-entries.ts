import type { RedisClient } from '@yuxi/redis';
import type { DeadLetter, DeadLetterChoice, DeadLetterQuery, LetterPlace } from '../store/dead-letters.js';
import { openEnvelope, type OpenedEnvelope } from './envelope.js';
import { queueKey } from './queue-key.js';

const PORTION = 200;

/** A dead letter as it lies in its stream. */
export interface DeadEntry {
  queue: string;
  entry: string;
  /** Of the stream it came from. */
  place: number;
  /** Undefined when it cannot be read. */
  task?: OpenedEnvelope;
  letter: DeadLetter;
}

/** Dead letters of a queue, newest first; read in portions, as far as the caller goes. */
export async function* deadEntries(redis: RedisClient, queue: string): AsyncGenerator<DeadEntry> {
  for (let from = '+'; ;) {
    const entries = await redis.xrevrange(`${queueKey(queue)}:x`, from, '-', 'COUNT', PORTION);
    for (const [entry, fields] of entries) yield read(queue, entry, fields);
    if (entries.length < PORTION) return;
    from = `(${entries.at(-1)![0]}`;
  }
}

export function isMeant({ letter }: DeadEntry, { id, name, owner }: DeadLetterChoice & DeadLetterQuery): boolean {
  return (
    (id === undefined || letter.id === id) &&
    (name === undefined || letter.name === name) &&
    (owner === undefined || letter.owner === owner)
  );
}

export function isAfter({ failed_at: at, id }: DeadLetter, place: LetterPlace): boolean {
  return at < place.at || (at.getTime() === place.at.getTime() && id < place.id);
}

function read(queue: string, entry: string, fields: string[]): DeadEntry {
  const { d = '', p = '2', n = '0', e = '' } = Object.fromEntries(pairs(fields));
  const failed = new Date(Number(entry.split('-', 1)[0]));
  const rest = {
    queue,
    title: '',
    error: e,
    attempts: Number(n),
    group_id: null,
    created_at: failed,
    failed_at: failed,
  };
  const found = { queue, entry, place: Number(p) };
  try {
    const task = openEnvelope(d);
    const { id, name, version, payload, owner = null } = task;
    return { ...found, task, letter: { id, name, version, payload, owner, ...rest } };
  } catch {
    return { ...found, letter: { id: entry, name: '', version: 0, payload: d, owner: null, ...rest } };
  }
}

function* pairs(fields: string[]): Generator<[string, string]> {
  for (let i = 0; i + 1 < fields.length; i += 2) yield [fields[i]!, fields[i + 1]!];
}
