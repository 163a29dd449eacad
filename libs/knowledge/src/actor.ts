export type Role = 'user' | 'admin' | 'superadmin';

/** Who asks: the authenticated user in whose name a call runs. */
export interface Actor {
  /** `users.id`. */
  readonly id: number;
  readonly role: Role;
  readonly departmentId: number | null;
}
