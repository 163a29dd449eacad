import type { KeyScope } from '@yuxi/storage';
import { z } from 'zod';
import { line } from '../../http/index.js';
import type { StoredApiKey } from './api-key.store.js';

const scope = z.enum(['read', 'write']) satisfies z.ZodType<KeyScope>;
const scopes = z
  .array(scope)
  .min(1)
  .refine((given) => new Set(given).size === given.length, 'names a scope twice')
  .describe('read: look and search. write: change what the user may change');

export const createKeyBody = z.strictObject({
  name: line(64),
  scopes,
  expires_at: z.iso
    .datetime({ offset: true, error: 'must be an instant like 2026-01-31T12:00:00Z' })
    .transform((value) => new Date(value))
    .refine((instant) => instant.getTime() > Date.now(), 'is over')
    .nullish()
    .describe('Default: never'),
});
export type CreateKeyBody = z.output<typeof createKeyBody>;

export const keyView = z.object({
  id: z.int(),
  name: z.string(),
  hint: z.string().describe('First characters of the key'),
  scopes: z.array(scope),
  created_at: z.string().describe('ISO 8601, UTC'),
  expires_at: z.string().nullable().describe('ISO 8601, UTC'),
  last_used: z.string().nullable().describe('ISO 8601, UTC; exact to the minute'),
});
export const newKeyView = keyView.extend({ key: z.string().describe('Shown this once') });

export function toKeyView({ id, name, hint, scopes: given, ...key }: StoredApiKey): z.output<typeof keyView> {
  return {
    id,
    name,
    hint,
    scopes: given,
    created_at: key.createdAt.toISOString(),
    expires_at: key.expiresAt?.toISOString() ?? null,
    last_used: key.lastUsedAt?.toISOString() ?? null,
  };
}
