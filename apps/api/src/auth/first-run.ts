import { createHash, timingSafeEqual } from 'node:crypto';
import { Inject, Injectable } from '@nestjs/common';
import { violatedConstraint } from '@yuxi/core';
import { DATABASE, departments, type Database } from '@yuxi/storage';
import { eq } from 'drizzle-orm';
import { AuditLog, userTarget } from '../audit/index.js';
import { FIRST_DEPARTMENT } from '../compat/legacy-fields.js';
import { forbidden } from './auth.errors.js';
import { AUTH_OPTIONS, type AuthOptions } from './auth.options.js';
import type { InitializeBody } from './auth.schemas.js';
import { Passwords } from './passwords.js';
import { UserStore } from './user.store.js';

/** Creates the only superadmin of an installation. */
@Injectable()
export class FirstRun {
  constructor(
    @Inject(DATABASE) private readonly database: Database,
    @Inject(AUTH_OPTIONS) private readonly options: AuthOptions,
    private readonly users: UserStore,
    private readonly passwords: Passwords,
    private readonly audit: AuditLog,
  ) {}

  /** Whether {@link initialize} requires the setup token. */
  get needsSetupToken(): boolean {
    return this.options.setupToken !== undefined;
  }

  /** Whether the superadmin has still to be created. */
  async isOpen(): Promise<boolean> {
    return !(await this.users.hasSuperadmin());
  }

  /**
   * The index `users_one_superadmin` lets one of several concurrent requests succeed, on any replica.
   * @returns id of the superadmin
   * @throws {ApiError} 403 when the superadmin exists or the setup token is wrong; 409 when the login name is taken
   */
  async initialize(body: InitializeBody): Promise<number> {
    if (!this.#isTokenCorrect(body.setup_token)) {
      this.audit.record({ action: 'user.create', outcome: 'refused', details: { reason: 'wrong setup token' } });
      throw forbidden('setup_token is missing or wrong: send the value of YUXI_SETUP_TOKEN');
    }
    if (!(await this.isOpen())) throw alreadyDone();
    const passwordHash = await this.passwords.hash(body.password, 'password', [body.user_id]);
    try {
      return await this.database.transaction((tx) => this.#create(tx, body, passwordHash));
    } catch (error) {
      // Of two requests with the same name the second violates the index of names before that of superadmins.
      if (violatedConstraint(error) !== undefined && !(await this.isOpen())) throw alreadyDone();
      throw error;
    }
  }

  async #create(tx: Database, body: InitializeBody, passwordHash: string): Promise<number> {
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

  #isTokenCorrect(given: string | undefined): boolean {
    const { setupToken } = this.options;
    // The comparison needs texts of equal length.
    return setupToken === undefined || timingSafeEqual(digest(given ?? ''), digest(setupToken));
  }
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}

function alreadyDone() {
  return forbidden('The superadmin exists already: log in');
}
