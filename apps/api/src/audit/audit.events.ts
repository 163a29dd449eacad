import type { AuditOutcome } from '@yuxi/storage';

/** Actions that the audit log records. The `action` filter of the API offers all of them. */
export const AUDIT_ACTIONS = [
  'key.create',
  'key.revoke',
  'limit.reset',
  'lock.release',
  'login',
  'logout',
  'password.change',
  'queue.discard',
  'queue.drain',
  'queue.pause',
  'queue.replay',
  'queue.resume',
  'refresh.reuse',
  'replica.forget',
  'saga.cancel',
  'saga.retry',
  'saga.skip',
  'settings.change',
  'user.create',
  'user.delete',
  'user.role',
  'user.update',
] as const;

export type AuditAction = (typeof AUDIT_ACTIONS)[number];

export interface AuditEvent {
  action: AuditAction;
  /** `refused`: the action was attempted and not allowed. Default `ok`. */
  outcome?: AuditOutcome;
  /** `users.id` of the user who acted. Default null: no user is logged in. */
  actor?: number | null;
  /** The thing acted on, see {@link userTarget}. */
  target?: string;
  /** Further facts. Never a password, a token, or text that was typed in their place. */
  details?: Readonly<Record<string, unknown>>;
}

export function keyTarget(id: number): string {
  return `key:${id}`;
}

export function userTarget(id: number): string {
  return `user:${id}`;
}
