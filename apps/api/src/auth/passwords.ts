import { randomBytes } from 'node:crypto';
import { Injectable, type OnModuleInit } from '@nestjs/common';
import { hash, verify, type Options } from '@node-rs/argon2';
import { isLegacyHash, matchesLegacyHash } from '../compat/legacy-hash.js';
import { ApiError } from '../http/index.js';
import { checkPassword } from './password-rules.js';

/** argon2id with 19 MiB, two passes and one lane. 2 stands for argon2id: the enum of the library has no value at run time. */
const ARGON2ID = { algorithm: 2, memoryCost: 19_456, timeCost: 2, parallelism: 1 } satisfies Options;
const PARAMETERS = /^\$argon2id\$v=19\$m=(\d+),t=(\d+),p=\d+\$/;

/** Hashes run on the four I/O threads of Node; one stays free for files and name resolution. */
const MAX_RUNNING = 3;
const MAX_WAITING = 200;

/** Hashes and verifies passwords, a few at a time. */
@Injectable()
export class Passwords implements OnModuleInit {
  /** Verified in place of a hash that does not exist, so that the response takes as long. */
  #decoy = '';
  #running = 0;
  readonly #waiting: (() => void)[] = [];

  async onModuleInit(): Promise<void> {
    this.#decoy = await hash(randomBytes(32), ARGON2ID);
  }

  /**
   * The hash of a new password.
   * @param field named in the error
   * @param words login name and user name, which do not count towards the length
   * @throws {ApiError} 422 when the password breaks a rule; 503 when too many requests wait
   */
  async hash(password: string, field: string, words: readonly string[]): Promise<string> {
    await checkPassword(password, field, words);
    return this.#queued(() => hash(password, ARGON2ID));
  }

  /**
   * @param stored undefined for a user that does not exist: the result is false, after the time of a real check
   * @throws {ApiError} 503 when too many requests wait
   */
  async verify(stored: string | undefined, password: string): Promise<boolean> {
    // A legacy hash takes no time to verify. The decoy makes the response as slow as others.
    const isLegacy = stored !== undefined && isLegacyHash(stored);
    const against = stored === undefined || isLegacy ? this.#decoy : stored;
    const matches = await this.#queued(() => verify(against, password));
    return isLegacy ? matchesLegacyHash(stored, password) : matches && stored !== undefined;
  }

  /** A new hash of the same password; undefined when the stored hash is as strong as a new one. */
  async strengthened(stored: string, password: string): Promise<string | undefined> {
    const [, memory, passes] = PARAMETERS.exec(stored) ?? [];
    const isStrong = Number(memory) >= ARGON2ID.memoryCost && Number(passes) >= ARGON2ID.timeCost;
    return isStrong ? undefined : this.#queued(() => hash(password, ARGON2ID));
  }

  async #queued<T>(work: () => Promise<T>): Promise<T> {
    if (this.#running >= MAX_RUNNING) {
      if (this.#waiting.length >= MAX_WAITING) throw new ApiError('OVERLOADED', 'Too many logins at once');
      await new Promise<void>((resume) => this.#waiting.push(resume));
    } else this.#running += 1;
    try {
      return await work();
    } finally {
      // Hands the slot to the next in line directly, so that a new request cannot take it first.
      const next = this.#waiting.shift();
      if (next) next();
      else this.#running -= 1;
    }
  }
}
