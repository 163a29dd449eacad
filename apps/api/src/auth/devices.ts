import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import type { StoredUser } from './user.store.js';

const NAME = 'yuxi_device';
const VALUE = /^([1-9]\d{0,9})\.([\w-]{22})\.([\w-]{43})$/;
const LIFE_S = 180 * 86_400;

/**
 * Marks a device on which a user has logged in, so that guesses of others, which make the account wait, do not lock its
 * owner out. It proves nothing but that, and ends with the password.
 */
export class Devices {
  readonly #key: Buffer;

  constructor(secret: string) {
    this.#key = createHmac('sha256', secret).update('yuxi device cookie').digest();
  }

  /** Value of `Set-Cookie` for the device on which the user has just logged in. */
  cookieFor(user: Pick<StoredUser, 'id' | 'tokenVersion'>): string {
    const nonce = randomBytes(16).toString('base64url');
    const value = `${user.id}.${nonce}.${this.#sign(user, nonce)}`;
    return `${NAME}=${value}; Path=/api/auth; Max-Age=${LIFE_S}; HttpOnly; Secure; SameSite=Strict`;
  }

  /** @returns the device, if the cookie was made for this user and its present password */
  read(cookies: string | undefined, user: Pick<StoredUser, 'id' | 'tokenVersion'>): string | undefined {
    for (const cookie of (cookies ?? '').split(';')) {
      const [name, value = ''] = cookie.trim().split('=', 2);
      const [, id, nonce = '', mac = ''] = (name === NAME && VALUE.exec(value)) || [];
      if (id === String(user.id) && equal(mac, this.#sign(user, nonce))) return `${id}.${nonce}`;
    }
    return undefined;
  }

  #sign({ id, tokenVersion }: Pick<StoredUser, 'id' | 'tokenVersion'>, nonce: string): string {
    return createHmac('sha256', this.#key).update(`${id} ${tokenVersion} ${nonce}`).digest('base64url');
  }
}

function equal(a: string, b: string): boolean {
  return a.length === b.length && timingSafeEqual(Buffer.from(a), Buffer.from(b));
}
