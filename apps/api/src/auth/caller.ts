import type { KeyScope, Role } from '@yuxi/storage';

export interface SessionCredential {
  readonly kind: 'session';
  readonly id: string;
  /** `users.token_version` that the access token carries. */
  readonly version: number;
}

export interface KeyCredential {
  readonly kind: 'key';
  readonly id: number;
  readonly scopes: readonly KeyScope[];
}

/** A user as the database has it at this moment. */
export interface CallerUser {
  /** `users.id`. */
  readonly id: number;
  /** Login name. */
  readonly userId: string;
  readonly username: string;
  readonly role: Role;
  readonly departmentId: number | null;
}

/** Selects a {@link CallerUser} from the row `u` of users. */
export const CALLER_USER = 'u.id, u.user_id AS "userId", u.username, u.role, u.department_id AS "departmentId"';

/** The user who sends a request, and the credential of the request. */
export interface Caller extends CallerUser {
  readonly credential: SessionCredential | KeyCredential;
}

const RANK: Readonly<Record<Role, number>> = { user: 0, admin: 1, superadmin: 2 };

/** Whether `role` includes the rights of `needed`. */
export function atLeast(role: Role, needed: Role): boolean {
  return RANK[role] >= RANK[needed];
}

/** Details for the audit log: the id of the API key that the caller used, if any. */
export function viaKey({ credential }: Caller): { key?: number } {
  return credential.kind === 'key' ? { key: credential.id } : {};
}

/** The session of the caller. For routes that API keys cannot call. */
export function sessionOf({ credential }: Caller): SessionCredential {
  if (credential.kind !== 'session') throw new Error('The caller has no session: mark the route with @SessionOnly()');
  return credential;
}
