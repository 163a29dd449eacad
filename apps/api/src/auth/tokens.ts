import { createSecretKey } from 'node:crypto';
import { JwtService } from '@nestjs/jwt';
import { unauthorized } from './auth.errors.js';

const ISSUER = 'yuxi';
const AUDIENCE = 'yuxi-know-api';
const ALGORITHM = 'HS256';
const MAX_LENGTH = 2048;
const CLOCK_SKEW_S = 60;

const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** Who a token speaks for. It counts only as long as the user's row has the same version and the session lives. */
export interface TokenClaims {
  /** `users.id`. */
  id: number;
  version: number;
  /** `sessions.id`. */
  sessionId: string;
}

interface Decoded {
  header: Record<string, unknown>;
  payload: Record<string, unknown>;
}

/** Makes and reads access tokens. Nothing in a token but its signature is believed before it is checked. */
export class Tokens {
  private readonly jwt: JwtService;
  /** Life of a token, seconds. */
  readonly ttlSeconds: number;

  constructor(secret: string, ttlMs: number) {
    this.ttlSeconds = Math.floor(ttlMs / 1000);
    // A key made once: from a text the library would try to read a public key for every token, 0.4 ms each.
    const key = createSecretKey(Buffer.from(secret));
    this.jwt = new JwtService({
      secretOrKeyProvider: () => key,
      signOptions: { algorithm: ALGORITHM, issuer: ISSUER, audience: AUDIENCE, expiresIn: this.ttlSeconds },
      verifyOptions: { algorithms: [ALGORITHM], issuer: ISSUER, audience: AUDIENCE, complete: true },
    });
  }

  issue({ id, version, sessionId }: TokenClaims): string {
    return this.jwt.sign({ token_version: version, sid: sessionId }, { subject: String(id) });
  }

  /** @throws {ApiError} 401, the same for every reason */
  read(token: string): TokenClaims {
    if (token.length > MAX_LENGTH) throw unauthorized();
    const { header, payload } = this.decode(token);
    const { sub, exp, iat, sid: sessionId, token_version: version } = payload;
    const now = Date.now() / 1000;
    // A key id, a URL of a key or an unknown extension in the header is never ours.
    const ours = Object.keys(header).length === 2 && header['typ'] === 'JWT' && header['alg'] === ALGORITHM;
    const timely =
      typeof iat === 'number' &&
      typeof exp === 'number' &&
      iat <= now + CLOCK_SKEW_S &&
      exp <= now + this.ttlSeconds + CLOCK_SKEW_S;
    const id = typeof sub === 'string' && /^[1-9]\d{0,9}$/.test(sub) ? Number(sub) : Number.NaN;
    if (!ours || !timely || !fitsColumn(id) || !fitsColumn(version) || !isUuid(sessionId)) throw unauthorized();
    return { id, version, sessionId };
  }

  private decode(token: string): Decoded {
    try {
      return this.jwt.verify<Decoded>(token);
    } catch {
      throw unauthorized();
    }
  }
}

/** Whether the database can compare it with an `integer` column. */
function fitsColumn(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) >= 0 && (value as number) < 2 ** 31;
}

function isUuid(value: unknown): value is string {
  return typeof value === 'string' && UUID.test(value);
}
