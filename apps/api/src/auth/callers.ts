import { Injectable } from '@nestjs/common';
import type { FastifyRequest } from 'fastify';
import { unauthorized } from './auth.errors.js';
import type { Caller } from './caller.js';
import { ApiKeyStore } from './keys/api-key.store.js';
import { ApiKeys } from './keys/api-keys.js';
import { SessionStore } from './sessions/session.store.js';
import { Tokens } from './tokens.js';

/** An API key, or the three parts of an access token. */
const BEARER = /^Bearer (?:(?<key>yxkey_[\w-]+)|(?<token>[\w-]+\.[\w-]+\.[\w-]+))$/i;

/** Finds out who is behind a request, and whether callers of requests that stay open still count. */
@Injectable()
export class Callers {
  constructor(
    private readonly tokens: Tokens,
    private readonly sessions: SessionStore,
    private readonly keys: ApiKeys,
    private readonly keyStore: ApiKeyStore,
  ) {}

  /**
   * User and session, or user and key, as the database has them now, by one statement.
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

  /** The callers as they are now, in order; undefined for one that would be refused. At most two statements for all of them. */
  async refreshed(callers: readonly Caller[]): Promise<(Caller | undefined)[]> {
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
