import type { Role } from '@yuxi/storage';

/** The authenticated user for whom a call runs. */
export interface Actor {
  /** `users.id`. */
  readonly id: number;
  readonly role: Role;
  readonly departmentId: number | null;
}
