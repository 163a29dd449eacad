import { Inject, Injectable } from '@nestjs/common';
import type { SqlClient } from '@yuxi/core';
import { AuditLog, Origin, userTarget } from '../../audit/index.js';
import { refreshSuperseded, unauthorized } from '../auth.errors.js';
import { AUTH_OPTIONS, checkAuthOptions, type AuthOptions } from '../auth.options.js';
import type { SessionCredential } from '../caller.js';
import { hashOf, looksLike, newOpaqueToken } from '../opaque-token.js';
import { Tokens } from '../tokens.js';
import { SessionStore, type Refreshed } from './session.store.js';

const PREFIX = 'yxref_';
/** Two tabs that refresh at the same time, or a client that repeats what got no answer, are no theft yet. */
const GRACE_MS = 10_000;

/** What a client gets for a session. */
export interface Grant {
  accessToken: string;
  /** Life of the access token, seconds. */
  expiresIn: number;
  refreshToken: string;
}

/**
 * A session begins with a login and ends with a logout, a new password, or its age. Within it, each refresh token
 * works once.
 */
@Injectable()
export class Sessions {
  private readonly lifeMs: number;

  constructor(
    private readonly store: SessionStore,
    private readonly tokens: Tokens,
    private readonly origin: Origin,
    private readonly audit: AuditLog,
    @Inject(AUTH_OPTIONS) options: AuthOptions,
  ) {
    this.lifeMs = checkAuthOptions(options).sessionTtlMs;
  }

  /** @returns undefined when the user was deleted or got another password since it was read */
  async open(user: { id: number; tokenVersion: number }): Promise<Grant | undefined> {
    const refreshToken = newOpaqueToken(PREFIX);
    const { clientAddress, userAgent } = this.origin.current();
    const sessionId = await this.store.open({
      userId: user.id,
      version: user.tokenVersion,
      refreshHash: hashOf(refreshToken),
      lifeMs: this.lifeMs,
      clientAddress,
      userAgent,
    });
    return sessionId === undefined
      ? undefined
      : this.grant({ sessionId, userId: user.id, version: user.tokenVersion }, refreshToken);
  }

  /**
   * New tokens for a refresh token, which is used up. One that was used before ends the session: either of the two who
   * had it was a thief. In the first 10 s after its use it only gives nothing.
   * @throws {ApiError} 401 for a token that does not count; 409 for one used a moment ago
   */
  async refresh(token: string): Promise<Grant & { userId: number }> {
    if (!looksLike(PREFIX, token)) throw unauthorized();
    const hash = hashOf(token);
    const next = newOpaqueToken(PREFIX);
    const refreshed = await this.store.rotate(hash, hashOf(next));
    if (!refreshed) throw await this.whyNot(hash);
    return { ...this.grant(refreshed, next), userId: refreshed.userId };
  }

  /** Ends one session, on every replica at once. */
  async end(session: SessionCredential): Promise<void> {
    await this.store.end(session.id);
  }

  /** Ends every session of a user. */
  async endAll(userId: number): Promise<void> {
    await this.store.endAll(userId);
  }

  /**
   * Lets one session live on after the user's version was raised, with new tokens.
   * @param sql of the transaction that raised the version
   */
  async carryOver(userId: number, session: SessionCredential, version: number, sql: SqlClient): Promise<Grant> {
    const refreshToken = newOpaqueToken(PREFIX);
    await this.store.carryOver(session.id, version, hashOf(refreshToken), sql);
    return this.grant({ sessionId: session.id, userId, version }, refreshToken);
  }

  private async whyNot(hash: Buffer): Promise<Error> {
    const stolen = await this.store.endReused(hash, GRACE_MS);
    if (!stolen) return (await this.store.wasJustUsed(hash)) ? refreshSuperseded() : unauthorized();
    this.audit.record({
      action: 'refresh.reuse',
      outcome: 'refused',
      target: userTarget(stolen.userId),
      details: { session: stolen.sessionId },
    });
    return unauthorized();
  }

  private grant({ sessionId, userId, version }: Refreshed, refreshToken: string): Grant {
    return {
      accessToken: this.tokens.issue({ id: userId, version, sessionId }),
      expiresIn: this.tokens.ttlSeconds,
      refreshToken,
    };
  }
}
