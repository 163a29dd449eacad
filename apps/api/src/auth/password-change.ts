import { Inject, Injectable } from '@nestjs/common';
import { DATABASE, sqlOf, type Database } from '@yuxi/storage';
import { AuditLog, userTarget } from '../audit/index.js';
import { ApiKeys } from './api-keys.js';
import { unauthorized, wrongPassword } from './auth.errors.js';
import { toTokenView, type ChangePasswordBody } from './auth.schemas.js';
import { sessionOf, type Caller } from './caller.js';
import { Passwords } from './passwords.js';
import { Sessions } from './sessions.js';
import { UserStore } from './user.store.js';

/** Changes the password of the caller. */
@Injectable()
export class PasswordChange {
  constructor(
    @Inject(DATABASE) private readonly database: Database,
    private readonly users: UserStore,
    private readonly passwords: Passwords,
    private readonly sessions: Sessions,
    private readonly keys: ApiKeys,
    private readonly audit: AuditLog,
  ) {}

  /**
   * Ends all other sessions on every replica at once. This session continues with new tokens, which replace its old ones.
   * API keys stay valid unless `revoke_keys` is set, because programs do not use the password.
   * @throws {ApiError} 401 when the session ended meanwhile; 422 for a wrong current or a refused new password
   */
  async change(caller: Caller, { current_password, new_password, revoke_keys }: ChangePasswordBody) {
    const event = { action: 'password.change', actor: caller.id, target: userTarget(caller.id) } as const;
    const user = await this.users.byId(caller.id);
    if (!user) throw unauthorized();
    if (!(await this.passwords.verify(user.passwordHash, current_password))) {
      this.audit.record({ ...event, outcome: 'refused', details: { reason: 'wrong password' } });
      throw wrongPassword('current_password');
    }
    const hash = await this.passwords.hash(new_password, 'new_password', [user.userId, user.username]);
    const session = sessionOf(caller);
    const grant = await this.database.transaction(async (tx) => {
      const version = await this.users.changePassword(user.id, session.version, hash, tx);
      if (version === undefined) throw unauthorized();
      await this.audit.record(event, tx);
      if (revoke_keys) await this.keys.revokeAll(user.id, caller.id, tx);
      return this.sessions.renew(user.id, session, version, sqlOf(tx));
    });
    return toTokenView(grant, user);
  }
}
