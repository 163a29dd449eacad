import { randomBytes } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { forbidden, userNotFound } from './auth.errors.js';
import { fitsUserId, type CreateUserBody, type ProfileBody, type UpdateUserBody } from './auth.schemas.js';
import { atLeast, type Caller } from './caller.js';
import { Passwords } from './passwords.js';
import { UserStore, type StoredUser } from './user.store.js';

/**
 * Users as administrators see them. A superadmin acts on everybody; an admin on the plain users of the own department,
 * and may look at the others there. What lies outside does not exist for an admin.
 */
@Injectable()
export class UsersService {
  constructor(
    private readonly store: UserStore,
    private readonly passwords: Passwords,
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

  /** @throws {ApiError} 403 for a role or department the caller may not give; 409 when a name or number is taken */
  async create(caller: Caller, body: CreateUserBody): Promise<StoredUser> {
    const departmentId = body.department_id ?? caller.departmentId;
    mayGive(caller, body.role, departmentId);
    const id = await this.store.create({
      userId: body.user_id ?? loginNameFor(body.username),
      username: body.username,
      phoneNumber: body.phone_number ?? null,
      passwordHash: await this.passwords.hash(body.password),
      role: body.role,
      departmentId,
    });
    return this.reload(id);
  }

  /** @throws {ApiError} 403, 404, 409 */
  async update(caller: Caller, id: number, body: UpdateUserBody): Promise<StoredUser> {
    const user = await this.get(caller, id);
    mayChange(caller, user);
    if (body.role !== undefined && user.id === caller.id) throw forbidden('Nobody changes the own role');
    mayGive(caller, body.role, body.department_id);
    const { username, phone_number: phoneNumber, role, department_id: departmentId } = body;
    const passwordHash = body.password === undefined ? undefined : await this.passwords.hash(body.password);
    const newRole = role === user.role ? undefined : role;
    const change = { username, phoneNumber, passwordHash, role: newRole, departmentId };
    return this.apply(user, change);
  }

  /** @throws {ApiError} 409 when the phone number is taken */
  async updateProfile(caller: Caller, body: ProfileBody): Promise<StoredUser> {
    const user = await this.reload(caller.id);
    return this.apply(user, { username: body.username, phoneNumber: body.phone_number });
  }

  /** @throws {ApiError} 403, 404 */
  async remove(caller: Caller, id: number): Promise<void> {
    const user = await this.get(caller, id);
    if (user.id === caller.id) throw forbidden('Nobody deletes the own account');
    mayChange(caller, user);
    if (!(await this.store.remove(id, user.role))) throw userNotFound();
  }

  private async apply(user: StoredUser, change: Parameters<UserStore['change']>[2]): Promise<StoredUser> {
    const given = Object.fromEntries(Object.entries(change).filter(([, value]) => value !== undefined));
    if (Object.keys(given).length > 0 && !(await this.store.change(user.id, user.role, given))) throw userNotFound();
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

function loginNameFor(username: string): string {
  return fitsUserId(username) ? username : `u_${randomBytes(6).toString('hex')}`;
}
