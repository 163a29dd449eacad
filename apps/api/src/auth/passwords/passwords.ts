import { randomBytes } from 'node:crypto';
import { Injectable, type OnModuleInit } from '@nestjs/common';
import { hash, verify, type Options } from '@node-rs/argon2';
import { ApiError } from '../../http/index.js';
import { fitsFoundingHash, isFoundingHash } from './founding-hash.js';
import { checkPassword } from './password-rules.js';

/** argon2id; 19 MiB, two passes, one lane. The algorithm is given by its number: its enum exists for the compiler only. */
const ARGON2ID = { algorithm: 2, memoryCost: 19_456, timeCost: 2, parallelism: 1 } satisfies Options;
const PARAMETERS = /^\$argon2id\$v=19\$m=(\d+),t=(\d+),p=\d+\$/;

/** Hashing runs on Node's four I/O threads; one stays free for files and name resolution. */
const MAX_RUNNING = 3;
const MAX_WAITING = 200;

/** Hashes and checks passwords, a few at a time. */
@Injectable()
export class Passwords implements OnModuleInit {
  private nobody = '';
  private running = 0;
  private readonly waiting: (() => void)[] = [];

  async onModuleInit(): Promise<void> {
    this.nobody = await hash(randomBytes(32), ARGON2ID);
  }

  /**
   * The hash of a new password.
   * @param field named in the error
   * @param words what must not make up the password: login name and user name
   * @throws {ApiError} 422 when it breaks a rule; 503 when too many are waiting already
   */
  async hash(password: string, field: string, words: readonly string[]): Promise<string> {
    await checkPassword(password, field, words);
    return this.queued(() => hash(password, ARGON2ID));
  }

  /**
   * @param stored undefined for a user that does not exist: the answer is false, after the time of a real check
   * @throws {ApiError} 503 when too many are waiting already
   */
  async verify(stored: string | undefined, password: string): Promise<boolean> {
    // A hash of the founding system is checked in no time; the other check is done for the clock of who watches.
    const founding = stored !== undefined && isFoundingHash(stored);
    const against = stored === undefined || founding ? this.nobody : stored;
    const matches = await this.queued(() => verify(against, password));
    return founding ? fitsFoundingHash(stored, password) : matches && stored !== undefined;
  }

  /** A hash of the same password as strong as a new one, or undefined where the stored one is. */
  async strengthened(stored: string, password: string): Promise<string | undefined> {
    const [, memory, passes] = PARAMETERS.exec(stored) ?? [];
    const strong = Number(memory) >= ARGON2ID.memoryCost && Number(passes) >= ARGON2ID.timeCost;
    return strong ? undefined : this.queued(() => hash(password, ARGON2ID));
  }

  private async queued<T>(work: () => Promise<T>): Promise<T> {
    if (this.running >= MAX_RUNNING) {
      if (this.waiting.length >= MAX_WAITING) throw new ApiError('OVERLOADED', 'Too many logins at once');
      await new Promise<void>((resume) => this.waiting.push(resume));
    } else this.running += 1;
    try {
      return await work();
    } finally {
      // The place goes straight to the next in line, so that nobody can slip in between.
      const next = this.waiting.shift();
      if (next) next();
      else this.running -= 1;
    }
  }
}
