import { Injectable } from '@nestjs/common';
import type { FastifyRequest } from 'fastify';
import { ApiKeys, ApiKeyStore } from './api-keys.js';
import { unauthorized } from './auth.errors.js';
import type { Caller } from './caller.js';
import { AccessTokens, SessionStore } from './sessions.js';

/** An API key, or the three parts of an access token. */
const BEARER = /^Bearer (?:(?<key>yxkey_[\w-]+)|(?<token>[\w-]+\.[\w-]+\.[\w-]+))$/i;

/** Identifies the caller of a request, and checks the callers of open responses again. */
@Injectable()
export class Authenticator {
  constructor(
    private readonly tokens: AccessTokens,
    private readonly sessions: SessionStore,
    private readonly keys: ApiKeys,
    private readonly keyStore: ApiKeyStore,
  ) {}

  /**
   * Reads user and session, or user and key, from the database in one statement.
   * @throws {ApiError} 401, the same for every reason
   */
  async authenticate({ headers, raw }: FastifyRequest): Promise<Caller> {
    const repeated = raw.rawHeaders?.filter((name, index) => index % 2 === 0 && /^authorization$/i.test(name)) ?? [];
    const { key, token } = BEARER.exec(headers.authorization ?? '')?.groups ?? {};
    if (repeated.length > 1) throw unauthorized();
    const caller = key ? await this.keys.caller(key) : token && (await this.sessions.caller(this.tokens.read(token)));
    if (!caller) throw unauthorized();
    return caller;
  }

  /**
   * Reads callers again, with at most two statements for all of them.
   * @returns the callers as they are now, in the order given; undefined where authentication would fail
   */
  async reauthenticate(callers: readonly Caller[]): Promise<(Caller | undefined)[]> {
    const credentials = callers.map(({ credential }) => credential);
    const bySession = credentials.filter((each) => each.kind === 'session');
    const byKey = credentials.flatMap((each) => (each.kind === 'key' ? [each.id] : []));
    const sessions = bySession.length > 0 ? await this.sessions.callers(bySession) : undefined;
    const keys = byKey.length > 0 ? await this.keyStore.callers(byKey) : undefined;
    return credentials.map((credential) => {
      const user = credential.kind === 'key' ? keys?.get(credential.id) : sessions?.get(credential.id);
      return user && { ...user, credential };
    });
  }
}
