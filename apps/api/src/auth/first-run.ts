import { createHash, timingSafeEqual } from 'node:crypto';
import { Inject, Injectable } from '@nestjs/common';
import { DATABASE, departments, type Database } from '@yuxi/storage';
import { eq } from 'drizzle-orm';
import { AuditLog, userTarget } from '../audit/index.js';
import { forbidden } from './auth.errors.js';
import { AUTH_OPTIONS, type AuthOptions } from './auth.options.js';
import type { InitializeBody } from './auth.schemas.js';
import { Passwords } from './passwords/passwords.js';
import { violatedConstraint } from './sql-errors.js';
import { UserStore } from './user.store.js';

const FIRST_DEPARTMENT = '默认部门';

/** Makes the one superadmin of an installation. */
@Injectable()
export class FirstRun {
  constructor(
    @Inject(DATABASE) private readonly database: Database,
    @Inject(AUTH_OPTIONS) private readonly options: AuthOptions,
    private readonly users: UserStore,
    private readonly passwords: Passwords,
    private readonly audit: AuditLog,
  ) {}

  /** Whether {@link initialize} asks for the setup token. */
  get needsSetupToken(): boolean {
    return this.options.setupToken !== undefined;
  }

  /** Whether there is no superadmin yet. */
  async isOpen(): Promise<boolean> {
    return !(await this.users.hasSuperadmin());
  }

  /**
   * However many call at once, on however many replicas: the index `users_one_superadmin` lets one through.
   * @returns id of the superadmin
   * @throws {ApiError} 403 when there is one already or the setup token is wrong; 409 when the name is taken
   */
  async initialize(body: InitializeBody): Promise<number> {
    if (!this.tokenFits(body.setup_token)) {
      this.audit.record({ action: 'user.create', outcome: 'refused', details: { reason: 'wrong setup token' } });
      throw forbidden('setup_token is missing or wrong: it is YUXI_SETUP_TOKEN');
    }
    if (!(await this.isOpen())) throw alreadyDone();
    const passwordHash = await this.passwords.hash(body.password, 'password', [body.user_id]);
    try {
      return await this.database.transaction((tx) => this.create(tx, body, passwordHash));
    } catch (error) {
      // Of two with the same name the second is refused by the name first, although it is too late altogether.
      if (violatedConstraint(error) !== undefined && !(await this.isOpen())) throw alreadyDone();
      throw error;
    }
  }

  private async create(tx: Database, body: InitializeBody, passwordHash: string): Promise<number> {
    await tx.insert(departments).values({ name: FIRST_DEPARTMENT }).onConflictDoNothing();
    const [department] = await tx.select().from(departments).where(eq(departments.name, FIRST_DEPARTMENT));
    const id = await this.users.create(
      {
        userId: body.user_id,
        username: body.user_id,
        phoneNumber: body.phone_number ?? null,
        passwordHash,
        role: 'superadmin',
        departmentId: department!.id,
        lastLogin: new Date(),
      },
      tx,
    );
    await this.audit.record({ action: 'user.create', target: userTarget(id), details: { role: 'superadmin' } }, tx);
    return id;
  }

  private tokenFits(given: string | undefined): boolean {
    const { setupToken } = this.options;
    // Equal length for the comparison, whatever was sent.
    return setupToken === undefined || timingSafeEqual(digest(given ?? ''), digest(setupToken));
  }
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}

function alreadyDone() {
  return forbidden('There is a superadmin already');
}
