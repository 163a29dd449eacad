import { ConfigurableModuleBuilder } from '@nestjs/common';
import { OptionsError, toMs, type Duration } from '@yuxi/core';

export interface AuthOptions {
  /** Signs the tokens, at least 32 bytes. Without it one is generated and kept in the database, shared by all replicas. */
  jwtSecret?: string;
  /** Life of a token. Default 7 days, at most 24 (a token cannot outlive a timer). */
  jwtTtl?: Duration;
  /** When set, `POST /api/auth/initialize` must carry it as `setup_token`. */
  setupToken?: string;
}

export const { ConfigurableModuleClass, MODULE_OPTIONS_TOKEN: AUTH_OPTIONS } =
  new ConfigurableModuleBuilder<AuthOptions>({ moduleName: 'Auth' }).setClassMethodName('forRoot').build();

/** @throws {OptionsError} without the value of the secret */
export function checkAuthOptions({ jwtSecret, jwtTtl = '7d', setupToken }: AuthOptions) {
  if (jwtSecret !== undefined && Buffer.byteLength(jwtSecret) < 32)
    throw new OptionsError('jwtSecret', 'at least 32 bytes long', undefined, 'AuthModule');
  return { jwtSecret, setupToken, jwtTtlMs: toMs('jwtTtl', jwtTtl, { min: 1000, where: 'AuthModule' }) };
}
