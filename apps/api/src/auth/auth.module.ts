import { Module } from '@nestjs/common';
import { APP_GUARD } from '@nestjs/core';
import { STORAGE_DRIVER, type StorageDriver } from '@yuxi/storage';
import { AuthController } from './auth.controller.js';
import { AuthGuard } from './auth.guard.js';
import { AUTH_OPTIONS, checkAuthOptions, ConfigurableModuleClass, type AuthOptions } from './auth.options.js';
import { AuthSweep } from './auth.sweep.js';
import { Callers } from './callers.js';
import { Devices } from './devices.js';
import { EarlyAuthentication } from './early-authentication.js';
import { FirstRun } from './first-run.js';
import { ApiKeyStore } from './keys/api-key.store.js';
import { ApiKeys } from './keys/api-keys.js';
import { KeysController } from './keys/keys.controller.js';
import { LoginLimits } from './login-limits.js';
import { LoginService } from './login.service.js';
import { OpenAnswers } from './open-answers.js';
import { PasswordChange } from './passwords/password-change.js';
import { Passwords } from './passwords/passwords.js';
import { SessionStore } from './sessions/session.store.js';
import { Sessions } from './sessions/sessions.js';
import { ownSigningKey } from './signing-key.js';
import { Tokens } from './tokens.js';
import { UserStore } from './user.store.js';
import { UsersController } from './users.controller.js';
import { UsersService } from './users.service.js';

/** What tokens and cookies are signed with. */
const SECRET = Symbol('auth secret');

async function secretOf(options: AuthOptions, { db, ready }: StorageDriver): Promise<string> {
  const { jwtSecret } = checkAuthOptions(options);
  if (jwtSecret !== undefined) return jwtSecret;
  await ready;
  return ownSigningKey(db);
}

/** Closes every route of the application but the public ones. Needs StorageModule, LimiterModule and AuditModule. */
@Module({
  controllers: [AuthController, UsersController, KeysController],
  providers: [
    { provide: SECRET, inject: [AUTH_OPTIONS, STORAGE_DRIVER], useFactory: secretOf },
    {
      provide: Tokens,
      inject: [SECRET, AUTH_OPTIONS],
      useFactory: (secret: string, o: AuthOptions) => new Tokens(secret, checkAuthOptions(o).jwtTtlMs),
    },
    { provide: Devices, inject: [SECRET], useFactory: (secret: string) => new Devices(secret) },
    LoginLimits,
    Callers,
    OpenAnswers,
    EarlyAuthentication,
    { provide: APP_GUARD, useClass: AuthGuard },
    UserStore,
    SessionStore,
    Sessions,
    AuthSweep,
    ApiKeyStore,
    ApiKeys,
    Passwords,
    PasswordChange,
    FirstRun,
    LoginService,
    UsersService,
  ],
  exports: [FirstRun, OpenAnswers],
})
export class AuthModule extends ConfigurableModuleClass {}
