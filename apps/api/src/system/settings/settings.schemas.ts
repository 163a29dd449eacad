import type { ReplicaStatus, Rollout } from '@yuxi/config-sync';
import { z } from 'zod';
import { line, queryDuration, queryFlag, queryInt } from '../../http/index.js';

/** A merge patch of the flat keys. null sets a key back to its default. */
export const settingsPatch = z.record(z.string().min(1).max(128), z.unknown());

const wait = queryDuration(30_000).optional().describe('Wait until all replicas serve the change, at most 30s');
const reason = line(300).optional().describe('Reason of the change, shown in the history');
export const putQuery = z.strictObject({
  dryRun: queryFlag.default(false).describe('Show what would change, without changing it'),
  wait,
  reason,
});
export const rollbackQuery = z.strictObject({ wait });
export const rolloutQuery = z.strictObject({ wait });
export const rollbackBody = z.strictObject({ revision: z.int().min(0), reason });
export const historyQuery = z.strictObject({
  before: queryInt(1, Number.MAX_SAFE_INTEGER).optional().describe('next_before of the previous page'),
  limit: queryInt(1, 200).default(50),
});

export const replicaView = z.object({
  id: z.string(),
  state: z.enum(['serving', 'behind', 'rejected', 'starting', 'missing']),
  revision: z.int().nullable().describe('Revision that the replica serves, by its last report'),
  reason: z.string().optional().describe('Why the replica does not serve the newest revision'),
  silent_ms: z.int().describe('Milliseconds since the last report of the replica'),
});
export const rolloutView = z.object({
  revision: z.int(),
  hash: z.string(),
  converged: z.boolean().describe('All replicas serve the newest revision, and none is missing'),
  replicas: z.array(replicaView),
});
export const writtenView = z.object({
  revision: z.int(),
  applied: z.boolean().describe('The replica that handled the request serves the change'),
  config: z.record(z.string(), z.unknown()),
  converged: z.boolean().optional().describe('With wait: all replicas serve the change'),
  laggards: z.array(replicaView).optional().describe('With wait: the replicas that do not serve it'),
});
export const historyView = z.object({
  revisions: z.array(
    z.object({
      revision: z.int(),
      at: z.string().describe('ISO 8601, UTC'),
      author: z.string(),
      reason: z.string(),
      patch: z.record(z.string(), z.unknown()),
      hash: z.string(),
      schema_version: z.string(),
    }),
  ),
  next_before: z.int().nullable(),
});

export function toReplicaView({ silentMs, ...replica }: ReplicaStatus): z.output<typeof replicaView> {
  return { ...replica, silent_ms: silentMs };
}

export function toRolloutView({ replicas, ...rollout }: Rollout): z.output<typeof rolloutView> {
  return { ...rollout, replicas: replicas.map(toReplicaView) };
}
