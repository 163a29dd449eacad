import { ConfigurableModuleBuilder } from '@nestjs/common';
import { OptionsError, toMs, type Duration } from '@yuxi/core';

export interface AuthOptions {
  /** Signs the tokens, at least 32 bytes. Default: a generated one, which all replicas read from the database. */
  jwtSecret?: string;
  /** Lifetime of an access token. Default 15 minutes, at most 24 days. */
  jwtTtl?: Duration;
  /** Lifetime of a session. A refresh does not extend it. Default 30 days, at most 365. */
  sessionTtl?: Duration;
  /** Pause between two sweeps for ended sessions and expired keys. Default 10 min. */
  sweepEvery?: Duration;
  /** When set, `POST /api/auth/initialize` must carry it as `setup_token`. */
  setupToken?: string;
}

export const { ConfigurableModuleClass, MODULE_OPTIONS_TOKEN: AUTH_OPTIONS } =
  new ConfigurableModuleBuilder<AuthOptions>({ moduleName: 'Auth' }).setClassMethodName('forRoot').build();

const YEAR = 365 * 86_400_000;

/** @throws {OptionsError} which never has the value of a secret */
export function checkAuthOptions(options: AuthOptions) {
  const { jwtSecret, setupToken, jwtTtl = '15m', sessionTtl = '30d', sweepEvery = '10m' } = options;
  const where = 'AuthModule';
  if (jwtSecret !== undefined && Buffer.byteLength(jwtSecret) < 32)
    throw new OptionsError('jwtSecret', 'at least 32 bytes long', undefined, where);
  return {
    jwtSecret,
    setupToken,
    jwtTtlMs: toMs('jwtTtl', jwtTtl, { min: 1000, where }),
    sessionTtlMs: toMs('sessionTtl', sessionTtl, { min: 1000, max: YEAR, where }),
    sweepEveryMs: toMs('sweepEvery', sweepEvery, { min: 1000, where }),
  };
}
