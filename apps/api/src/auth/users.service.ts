import { randomBytes } from 'node:crypto';
import { Inject, Injectable } from '@nestjs/common';
import { DATABASE, type Database } from '@yuxi/storage';
import { AuditLog, userTarget, type AuditEvent } from '../audit/index.js';
import { forbidden, userNotFound } from './auth.errors.js';
import { fitsUserId, type CreateUserBody, type ProfileBody, type UpdateUserBody } from './auth.schemas.js';
import { atLeast, type Caller } from './caller.js';
import { ApiKeys } from './keys/api-keys.js';
import { Passwords } from './passwords/passwords.js';
import { UserStore, type StoredUser, type UserChange } from './user.store.js';

/**
 * Users as administrators see them. A superadmin acts on everybody; an admin on the plain users of the own department,
 * and may look at the others there. What lies outside does not exist for an admin.
 */
@Injectable()
export class UsersService {
  constructor(
    @Inject(DATABASE) private readonly database: Database,
    private readonly store: UserStore,
    private readonly passwords: Passwords,
    private readonly keys: ApiKeys,
    private readonly audit: AuditLog,
  ) {}

  async list(caller: Caller, page: number, limit: number): Promise<StoredUser[]> {
    if (caller.role === 'superadmin') return this.store.list(undefined, page, limit);
    return caller.departmentId === null ? [] : this.store.list(caller.departmentId, page, limit);
  }

  async me(caller: Caller): Promise<StoredUser> {
    return this.reload(caller.id);
  }

  /** @throws {ApiError} 404 */
  async get(caller: Caller, id: number): Promise<StoredUser> {
    const user = await this.store.byId(id);
    if (!user || !sees(caller, user)) throw userNotFound();
    return user;
  }

  /**
   * @throws {ApiError} 403 for a role or department the caller may not give; 409 when a name or number is taken;
   * 422 for a password that breaks a rule
   */
  async create(caller: Caller, body: CreateUserBody): Promise<StoredUser> {
    const departmentId = body.department_id ?? caller.departmentId;
    mayGive(caller, body.role, departmentId);
    const userId = body.user_id ?? loginNameFor(body.username);
    const user = {
      userId,
      username: body.username,
      phoneNumber: body.phone_number ?? null,
      passwordHash: await this.passwords.hash(body.password, 'password', [userId, body.username]),
      role: body.role,
      departmentId,
    };
    const id = await this.database.transaction(async (tx) => {
      const created = await this.store.create(user, tx);
      const details = { role: user.role, department: departmentId };
      await this.audit.record({ action: 'user.create', actor: caller.id, target: userTarget(created), details }, tx);
      return created;
    });
    return this.reload(id);
  }

  /** @throws {ApiError} 403, 404, 409, 422 */
  async update(caller: Caller, id: number, body: UpdateUserBody): Promise<StoredUser> {
    const user = await this.get(caller, id);
    mayChange(caller, user);
    if (body.role !== undefined && user.id === caller.id) throw forbidden('Nobody changes the own role');
    mayGive(caller, body.role, body.department_id);
    if (body.password !== undefined && user.id === caller.id)
      throw forbidden('Change your own password with PUT /api/auth/password');
    const { username, phone_number: phoneNumber, role, department_id: departmentId } = body;
    const passwordHash =
      body.password === undefined
        ? undefined
        : await this.passwords.hash(body.password, 'password', [user.userId, username ?? user.username]);
    const newRole = role === user.role ? undefined : role;
    return this.apply(caller, user, { username, phoneNumber, passwordHash, role: newRole, departmentId });
  }

  /** @throws {ApiError} 409 when the phone number is taken */
  async updateProfile(caller: Caller, body: ProfileBody): Promise<StoredUser> {
    const user = await this.reload(caller.id);
    return this.apply(caller, user, { username: body.username, phoneNumber: body.phone_number });
  }

  /** @throws {ApiError} 403, 404 */
  async remove(caller: Caller, id: number): Promise<void> {
    const user = await this.get(caller, id);
    if (user.id === caller.id) throw forbidden('Nobody deletes the own account');
    mayChange(caller, user);
    await this.database.transaction(async (tx) => {
      if (!(await this.store.remove(id, user.role, tx))) throw userNotFound();
      await this.keys.revokeAll(id, caller.id, tx);
      await this.audit.record({ action: 'user.delete', actor: caller.id, target: userTarget(id) }, tx);
    });
  }

  private async apply(caller: Caller, user: StoredUser, change: UserChange): Promise<StoredUser> {
    const given: UserChange = Object.fromEntries(Object.entries(change).filter(([, value]) => value !== undefined));
    if (Object.keys(given).length > 0)
      await this.database.transaction(async (tx) => {
        if (!(await this.store.change(user.id, user.role, given, tx))) throw userNotFound();
        // A password set by somebody else takes an account back: what was made with the old one must not live on.
        if (given.passwordHash !== undefined) await this.keys.revokeAll(user.id, caller.id, tx);
        for (const event of eventsOf(user, given))
          await this.audit.record({ ...event, actor: caller.id, target: userTarget(user.id) }, tx);
      });
    return this.reload(user.id);
  }

  private async reload(id: number): Promise<StoredUser> {
    const user = await this.store.byId(id);
    if (!user) throw userNotFound();
    return user;
  }
}

function sees(caller: Caller, user: StoredUser): boolean {
  if (caller.role === 'superadmin') return true;
  return caller.departmentId !== null && user.departmentId === caller.departmentId;
}

function mayChange(caller: Caller, user: StoredUser): void {
  if (user.role === 'superadmin' && user.id !== caller.id) throw forbidden('Nobody acts on the superadmin');
  if (caller.role !== 'superadmin' && atLeast(user.role, caller.role))
    throw forbidden('This user has a role as high as yours or higher');
}

function mayGive(caller: Caller, role: 'user' | 'admin' | undefined, departmentId: number | null | undefined): void {
  if (caller.role === 'superadmin') return;
  if (role !== undefined && atLeast(role, caller.role)) throw forbidden('role: only one lower than your own');
  if (departmentId !== undefined && (departmentId === null || departmentId !== caller.departmentId))
    throw forbidden('department_id: only your own department');
}

/** What an administrator wants to find later: a new role and a new password apart from the rest. */
function eventsOf(user: StoredUser, { role, passwordHash, ...rest }: UserChange): AuditEvent[] {
  const events: AuditEvent[] = [];
  if (role !== undefined) events.push({ action: 'user.role', details: { from: user.role, to: role } });
  if (passwordHash !== undefined) events.push({ action: 'password.change' });
  if (Object.keys(rest).length > 0) events.push({ action: 'user.update', details: { changed: Object.keys(rest) } });
  return events;
}

function loginNameFor(username: string): string {
  return fitsUserId(username) ? username : `u_${randomBytes(6).toString('hex')}`;
}
