import { randomBytes } from 'node:crypto';
import { Inject, Injectable } from '@nestjs/common';
import { DATABASE, type Database } from '@yuxi/storage';
import { AuditLog, userTarget, type AuditEvent } from '../audit/index.js';
import { ApiKeys } from './api-keys.js';
import { forbidden, userNotFound } from './auth.errors.js';
import { isUserId, type CreateUserBody, type ProfileBody, type UpdateUserBody } from './auth.schemas.js';
import { atLeast, type Caller } from './caller.js';
import { Passwords } from './passwords.js';
import { UserStore, type StoredUser, type UserChange } from './user.store.js';

/**
 * Manages users. The superadmin manages all of them. An admin sees the users of the same department and manages those
 * with the role `user`; users of other departments are answered with 404.
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
    return this.#reload(caller.id);
  }

  /** @throws {ApiError} 404 */
  async get(caller: Caller, id: number): Promise<StoredUser> {
    const user = await this.store.byId(id);
    if (!user || !maySee(caller, user)) throw userNotFound();
    return user;
  }

  /**
   * @throws {ApiError} 403 when the caller may not assign the role or department
   * @throws {ApiError} 409 when a name or number is taken; 422 for a password that breaks a rule
   */
  async create(caller: Caller, body: CreateUserBody): Promise<StoredUser> {
    const departmentId = body.department_id ?? caller.departmentId;
    assertMayAssign(caller, body.role, departmentId);
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
    return this.#reload(id);
  }

  /** @throws {ApiError} 403, 404, 409, 422 */
  async update(caller: Caller, id: number, body: UpdateUserBody): Promise<StoredUser> {
    const user = await this.get(caller, id);
    assertMayChange(caller, user);
    if (body.role !== undefined && user.id === caller.id) throw forbidden('You cannot change your own role');
    assertMayAssign(caller, body.role, body.department_id);
    if (body.password !== undefined && user.id === caller.id)
      throw forbidden('You cannot set your own password here: use PUT /api/auth/password');
    const { username, phone_number: phoneNumber, role, department_id: departmentId } = body;
    const passwordHash =
      body.password === undefined
        ? undefined
        : await this.passwords.hash(body.password, 'password', [user.userId, username ?? user.username]);
    const newRole = role === user.role ? undefined : role;
    return this.#apply(caller, user, { username, phoneNumber, passwordHash, role: newRole, departmentId });
  }

  /** @throws {ApiError} 409 when the phone number is taken */
  async updateProfile(caller: Caller, body: ProfileBody): Promise<StoredUser> {
    const user = await this.#reload(caller.id);
    return this.#apply(caller, user, { username: body.username, phoneNumber: body.phone_number });
  }

  /** @throws {ApiError} 403, 404 */
  async remove(caller: Caller, id: number): Promise<void> {
    const user = await this.get(caller, id);
    if (user.id === caller.id) throw forbidden('You cannot delete your own account');
    assertMayChange(caller, user);
    await this.database.transaction(async (tx) => {
      if (!(await this.store.remove(id, user.role, tx))) throw userNotFound();
      await this.keys.revokeAll(id, caller.id, tx);
      await this.audit.record({ action: 'user.delete', actor: caller.id, target: userTarget(id) }, tx);
    });
  }

  async #apply(caller: Caller, user: StoredUser, change: UserChange): Promise<StoredUser> {
    const changed: UserChange = Object.fromEntries(Object.entries(change).filter(([, value]) => value !== undefined));
    if (Object.keys(changed).length > 0)
      await this.database.transaction(async (tx) => {
        if (!(await this.store.change(user.id, user.role, changed, tx))) throw userNotFound();
        // An administrator sets a password to take an account back, so keys made before must not stay valid.
        if (changed.passwordHash !== undefined) await this.keys.revokeAll(user.id, caller.id, tx);
        for (const event of eventsOf(user, changed))
          await this.audit.record({ ...event, actor: caller.id, target: userTarget(user.id) }, tx);
      });
    return this.#reload(user.id);
  }

  async #reload(id: number): Promise<StoredUser> {
    const user = await this.store.byId(id);
    if (!user) throw userNotFound();
    return user;
  }
}

function maySee(caller: Caller, user: StoredUser): boolean {
  if (caller.role === 'superadmin') return true;
  return caller.departmentId !== null && user.departmentId === caller.departmentId;
}

function assertMayChange(caller: Caller, user: StoredUser): void {
  if (user.role === 'superadmin' && user.id !== caller.id)
    throw forbidden('The superadmin cannot be changed or deleted by other users');
  if (caller.role !== 'superadmin' && atLeast(user.role, caller.role))
    throw forbidden('You can only change users whose role is lower than yours');
}

function assertMayAssign(
  caller: Caller,
  role: 'user' | 'admin' | undefined,
  departmentId: number | null | undefined,
): void {
  if (caller.role === 'superadmin') return;
  if (role !== undefined && atLeast(role, caller.role))
    throw forbidden('role: you can only assign a role lower than your own');
  if (departmentId !== undefined && (departmentId === null || departmentId !== caller.departmentId))
    throw forbidden('department_id: you can only assign your own department');
}

/** A new role and a new password are separate events, so that they can be found by their action. */
function eventsOf(user: StoredUser, { role, passwordHash, ...rest }: UserChange): AuditEvent[] {
  const events: AuditEvent[] = [];
  if (role !== undefined) events.push({ action: 'user.role', details: { from: user.role, to: role } });
  if (passwordHash !== undefined) events.push({ action: 'password.change' });
  if (Object.keys(rest).length > 0) events.push({ action: 'user.update', details: { changed: Object.keys(rest) } });
  return events;
}

function loginNameFor(username: string): string {
  return isUserId(username) ? username : `u_${randomBytes(6).toString('hex')}`;
}
