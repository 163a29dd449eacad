import type { SagaState } from '../saga.types.js';

/** Names and values of a hash, one after the other. */
export type Fields = string[];

const RESULT = 'r:';

/** @param now the server's time, milliseconds */
export function stateOf(fields: Fields, now: number): SagaState {
  const all = new Map<string, string>();
  for (let i = 0; i + 1 < fields.length; i += 2) all.set(fields[i]!, fields[i + 1]!);
  const text = (name: string) => all.get(name) ?? '';
  const deadline = all.get('deadline');
  const results = [...all].filter(([name]) => name.startsWith(RESULT));
  return {
    id: text('id'),
    name: text('name'),
    version: Number(text('version')),
    key: all.get('key') ?? null,
    status: text('status') as SagaState['status'],
    direction: text('direction') as SagaState['direction'],
    step: Number(text('step')),
    pivot: Number(text('pivot')),
    failures: Number(text('failures')),
    epoch: Number(text('epoch')),
    input: JSON.parse(text('input')) as unknown,
    results: Object.fromEntries(
      results.map(([name, json]) => [name.slice(RESULT.length), JSON.parse(json) as unknown]),
    ),
    error: text('error') || null,
    cancelRequested: all.has('cancel'),
    timeLeft: deadline === undefined ? null : Number(deadline) - now,
    task: text('task') || null,
    createdAt: new Date(Number(text('created'))),
    updatedAt: new Date(Number(text('updated'))),
  };
}
