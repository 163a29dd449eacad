import { Inject, Injectable } from '@nestjs/common';
import { DATABASE, departments, users, type Database } from '@yuxi/storage';
import { and, asc, eq, getTableColumns, isNull, or, sql } from 'drizzle-orm';
import { namingField } from './sql-errors.js';

export type NewUser = typeof users.$inferInsert;
export type UserChange = Partial<Pick<NewUser, 'username' | 'phoneNumber' | 'passwordHash' | 'role' | 'departmentId'>>;
/** A user that is not deleted, with the name of the department. */
export type StoredUser = typeof users.$inferSelect & { departmentName: string | null };

const present = isNull(users.deletedAt);
const columns = { ...getTableColumns(users), departmentName: departments.name };

/** The users that exist. Deleted ones stay in the table, but are never found. */
@Injectable()
export class UserStore {
  constructor(@Inject(DATABASE) private readonly database: Database) {}

  async byId(id: number): Promise<StoredUser | undefined> {
    const [row] = await this.select().where(and(eq(users.id, id), present));
    return row;
  }

  /** @param login login name or phone number; a login name goes first */
  async byLogin(login: string): Promise<StoredUser | undefined> {
    const [row] = await this.select()
      .where(and(or(eq(users.userId, login), eq(users.phoneNumber, login)), present))
      .orderBy(sql`${users.userId} = ${login} DESC`)
      .limit(1);
    return row;
  }

  /** @param departmentId undefined for all departments */
  async list(departmentId: number | undefined, page: number, limit: number): Promise<StoredUser[]> {
    return this.select()
      .where(and(departmentId === undefined ? undefined : eq(users.departmentId, departmentId), present))
      .orderBy(asc(users.id))
      .limit(limit)
      .offset((page - 1) * limit);
  }

  /** @throws {ApiError} 409 naming what is taken */
  async create(user: NewUser, database: Database = this.database): Promise<number> {
    const rows = await database
      .insert(users)
      .values(user)
      .returning({ id: users.id })
      .catch((error: unknown) => {
        throw namingField(error);
      });
    return rows[0]!.id;
  }

  /**
   * Changes a user whose role is still `role`, so that a promotion in between is not overrun. A new role or password
   * ends all tokens.
   * @returns false when there is no such user any more
   */
  async change(
    id: number,
    role: StoredUser['role'],
    change: UserChange,
    database: Database = this.database,
  ): Promise<boolean> {
    const ends = change.role !== undefined || change.passwordHash !== undefined;
    const rows = await database
      .update(users)
      .set({ ...change, ...(ends && { tokenVersion: sql`${users.tokenVersion} + 1` }) })
      .where(and(eq(users.id, id), eq(users.role, role), present))
      .returning({ id: users.id })
      .catch((error: unknown) => {
        throw namingField(error);
      });
    return rows.length > 0;
  }

  /** The login name is kept for good, the phone number becomes free. */
  async remove(id: number, role: StoredUser['role'], database: Database = this.database): Promise<boolean> {
    const rows = await database
      .update(users)
      .set({ deletedAt: new Date(), phoneNumber: null, tokenVersion: sql`${users.tokenVersion} + 1` })
      .where(and(eq(users.id, id), eq(users.role, role), present))
      .returning({ id: users.id });
    return rows.length > 0;
  }

  /**
   * Gives a user a new password, which ends all tokens.
   * @param version that the user must still have
   * @returns the new version; undefined when the user was deleted or changed otherwise meanwhile
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
      .where(and(eq(users.id, id), eq(users.tokenVersion, version), present))
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
      .where(and(eq(users.role, 'superadmin'), present))
      .limit(1);
    return rows.length > 0;
  }

  private select() {
    return this.database.select(columns).from(users).leftJoin(departments, eq(users.departmentId, departments.id));
  }
}
