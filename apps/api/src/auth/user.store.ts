import { Inject, Injectable } from '@nestjs/common';
import { violatedConstraint } from '@yuxi/core';
import { DATABASE, departments, users, type Database } from '@yuxi/storage';
import { and, asc, eq, getTableColumns, isNull, or, sql } from 'drizzle-orm';
import { ApiError } from '../http/index.js';

export type NewUser = typeof users.$inferInsert;
export type UserChange = Partial<Pick<NewUser, 'username' | 'phoneNumber' | 'passwordHash' | 'role' | 'departmentId'>>;
/** A user that is not deleted, with the name of the department. */
export type StoredUser = typeof users.$inferSelect & { departmentName: string | null };

/** Constraints of the users table, and the fields that violate them. */
const FIELD_OF_CONSTRAINT: Readonly<Record<string, { code: string; path: string; message: string }>> = {
  users_user_id_key: { code: 'CONFLICT', path: 'user_id', message: 'is taken' },
  users_phone_number_key: { code: 'CONFLICT', path: 'phone_number', message: 'is taken' },
  users_department_id_fkey: { code: 'INVALID_INPUT', path: 'department_id', message: 'does not exist' },
};

const isPresent = isNull(users.deletedAt);
const COLUMNS = { ...getTableColumns(users), departmentName: departments.name };

/** Users that are not deleted. The rows of deleted users stay in the table, and no method returns them. */
@Injectable()
export class UserStore {
  constructor(@Inject(DATABASE) private readonly database: Database) {}

  async byId(id: number): Promise<StoredUser | undefined> {
    const [row] = await this.#select().where(and(eq(users.id, id), isPresent));
    return row;
  }

  /** @param login login name or phone number. A user with this login name precedes one with this phone number */
  async byLogin(login: string): Promise<StoredUser | undefined> {
    const [row] = await this.#select()
      .where(and(or(eq(users.userId, login), eq(users.phoneNumber, login)), isPresent))
      .orderBy(sql`${users.userId} = ${login} DESC`)
      .limit(1);
    return row;
  }

  /** @param departmentId undefined for all departments */
  async list(departmentId: number | undefined, page: number, limit: number): Promise<StoredUser[]> {
    return this.#select()
      .where(and(departmentId === undefined ? undefined : eq(users.departmentId, departmentId), isPresent))
      .orderBy(asc(users.id))
      .limit(limit)
      .offset((page - 1) * limit);
  }

  /** @throws {ApiError} 409 naming the field whose value is taken */
  async create(user: NewUser, database: Database = this.database): Promise<number> {
    const rows = await database
      .insert(users)
      .values(user)
      .returning({ id: users.id })
      .catch((error: unknown) => {
        throw withField(error);
      });
    return rows[0]!.id;
  }

  /**
   * Changes a user whose role is still `role`, so that a concurrent promotion is not overwritten. A new role or password
   * invalidates all tokens.
   * @returns false when there is no such user, or no longer
   */
  async change(
    id: number,
    role: StoredUser['role'],
    change: UserChange,
    database: Database = this.database,
  ): Promise<boolean> {
    const endsTokens = change.role !== undefined || change.passwordHash !== undefined;
    const rows = await database
      .update(users)
      .set({ ...change, ...(endsTokens && { tokenVersion: sql`${users.tokenVersion} + 1` }) })
      .where(and(eq(users.id, id), eq(users.role, role), isPresent))
      .returning({ id: users.id })
      .catch((error: unknown) => {
        throw withField(error);
      });
    return rows.length > 0;
  }

  /** The login name stays reserved; the phone number can be used again. */
  async remove(id: number, role: StoredUser['role'], database: Database = this.database): Promise<boolean> {
    const rows = await database
      .update(users)
      .set({ deletedAt: new Date(), phoneNumber: null, tokenVersion: sql`${users.tokenVersion} + 1` })
      .where(and(eq(users.id, id), eq(users.role, role), isPresent))
      .returning({ id: users.id });
    return rows.length > 0;
  }

  /**
   * Stores the hash of a new password, which invalidates all tokens.
   * @param version that the user must still have
   * @returns the new version; undefined when the user was deleted or got another version meanwhile
   */
  async changePassword(
    id: number,
    version: number,
    passwordHash: string,
    database: Database,
  ): Promise<number | undefined> {
    const [row] = await database
      .update(users)
      .set({ passwordHash, tokenVersion: sql`${users.tokenVersion} + 1` })
      .where(and(eq(users.id, id), eq(users.tokenVersion, version), isPresent))
      .returning({ version: users.tokenVersion });
    return row?.version;
  }

  /** Stores another hash of the same password. */
  async replaceHash({ id, passwordHash }: StoredUser, stronger: string): Promise<void> {
    await this.database
      .update(users)
      .set({ passwordHash: stronger })
      .where(and(eq(users.id, id), eq(users.passwordHash, passwordHash)));
  }

  async hasSuperadmin(): Promise<boolean> {
    const rows = await this.database
      .select({ id: users.id })
      .from(users)
      .where(and(eq(users.role, 'superadmin'), isPresent))
      .limit(1);
    return rows.length > 0;
  }

  #select() {
    return this.database.select(COLUMNS).from(users).leftJoin(departments, eq(users.departmentId, departments.id));
  }
}

/** Turns a violated constraint into an {@link ApiError} that names the field. Other errors are returned unchanged. */
function withField(error: unknown): unknown {
  const field = FIELD_OF_CONSTRAINT[violatedConstraint(error) ?? ''];
  if (!field) return error;
  const { code, path, message } = field;
  return new ApiError(code, `${path} ${message}`, { errors: [{ path, message }], cause: error });
}
