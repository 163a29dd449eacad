import type { AuditOutcome } from '@yuxi/storage';

/** What is written down. A new action is added here, so that a filter can offer all of them. */
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
  /** `refused`: somebody tried, and was not let. Default `ok`. */
  outcome?: AuditOutcome;
  /** `users.id` of who did it. Default null: nobody is logged in. */
  actor?: number | null;
  /** What it was done to, see {@link userTarget}. */
  target?: string;
  /** What else matters later. Never a password, a token or what was typed in their place. */
  details?: Readonly<Record<string, unknown>>;
}

export function keyTarget(id: number): string {
  return `key:${id}`;
}

export function userTarget(id: number): string {
  return `user:${id}`;
}
