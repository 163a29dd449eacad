import { z } from 'zod';
import { line, queryDuration, queryFlag, queryInt } from '../../http/index.js';

const flatValue = z.union([z.string().max(4096), z.number(), z.boolean(), z.null()]);
const key = z.string().min(1).max(128);

/** Bodies of the founding API. */
export const oneSetting = z.strictObject({ key, value: flatValue });
export const manySettings = z.record(key, flatValue);

/** A merge patch over the flat keys: null returns to the default. */
export const settingsPatch = z.record(key, z.unknown());

const wait = queryDuration(30_000).optional().describe('Wait until all replicas serve the change, at most 30s');
const reason = line(300).optional().describe('Why, for the history');
export const putQuery = z.strictObject({
  dryRun: queryFlag.default(false).describe('Say what would change, and change nothing'),
  wait,
  reason,
});
export const rollbackQuery = z.strictObject({ wait });
export const rolloutQuery = z.strictObject({ wait });
export const rollbackBody = z.strictObject({ revision: z.int().min(0), reason });
export const historyQuery = z.strictObject({
  before: queryInt(1, Number.MAX_SAFE_INTEGER).optional().describe('next_before of the page above'),
  limit: queryInt(1, 200).default(50),
});

export const replicaView = z.object({
  id: z.string(),
  state: z.enum(['serving', 'behind', 'rejected', 'starting', 'missing']),
  revision: z.int().nullable().describe('In force there by its last word'),
  reason: z.string().optional().describe('Why it does not serve the newest revision'),
  silent_ms: z.int().describe('Since it was heard of'),
});
export const rolloutView = z.object({
  revision: z.int(),
  hash: z.string(),
  converged: z.boolean().describe('All replicas serve it, and none is missing'),
  replicas: z.array(replicaView),
});
export const changeView = z.object({ path: z.string(), from: z.unknown(), to: z.unknown() });
export const writtenView = z.object({
  revision: z.int(),
  applied: z.boolean().describe('The replica that answers serves it'),
  config: z.record(z.string(), z.unknown()),
  converged: z.boolean().optional().describe('With wait: all replicas serve it'),
  laggards: z.array(replicaView).optional().describe('With wait: those that do not'),
});
export const previewView = z.object({ revision: z.int(), dry_run: z.literal(true), changes: z.array(changeView) });
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
