import { Injectable, Logger } from '@nestjs/common';
import { badCredentials } from './auth.errors.js';
import type { TokenBody } from './auth.schemas.js';
import { Passwords } from './passwords.js';
import { Tokens } from './tokens.js';
import { toTokenView } from './user.views.js';
import { UserStore, type StoredUser } from './user.store.js';

/** Turns a name and a password into a token. */
@Injectable()
export class LoginService {
  private readonly logger = new Logger(LoginService.name);

  constructor(
    private readonly users: UserStore,
    private readonly passwords: Passwords,
    private readonly tokens: Tokens,
  ) {}

  /** @throws {ApiError} 401, the same in text and time for a wrong password, an unknown and a deleted user */
  async login({ username, password }: TokenBody) {
    const user = await this.users.byLogin(username);
    const fits = await this.passwords.verify(user?.passwordHash, password);
    if (!user || !fits || !(await this.users.loggedIn(user))) {
      // What was typed as a name may be a password, so it is not written down.
      this.logger.warn(`Login refused: ${user ? `wrong password of user ${user.id}` : 'no such user'}`);
      throw badCredentials();
    }
    return this.answer(user);
  }

  /** The token answer for a user whose identity is established. */
  async answerFor(id: number) {
    const user = await this.users.byId(id);
    if (!user) throw badCredentials();
    return this.answer(user);
  }

  private answer(user: StoredUser) {
    return toTokenView(this.tokens.issue({ id: user.id, version: user.tokenVersion }), user);
  }
}
