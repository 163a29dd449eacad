import type { Role } from '@yuxi/storage';

/** The user behind a request, as the database has it at this moment. */
export interface Caller {
  /** `users.id`. */
  readonly id: number;
  /** Login name. */
  readonly userId: string;
  readonly username: string;
  readonly role: Role;
  readonly departmentId: number | null;
}

const RANK: Readonly<Record<Role, number>> = { user: 0, admin: 1, superadmin: 2 };

/** Whether `role` includes the rights of `needed`. */
export function atLeast(role: Role, needed: Role): boolean {
  return RANK[role] >= RANK[needed];
}
