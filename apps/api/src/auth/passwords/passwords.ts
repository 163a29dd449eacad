import { randomBytes } from 'node:crypto';
import { Injectable, type OnModuleInit } from '@nestjs/common';
import { hash, verify, type Options } from '@node-rs/argon2';
import { ApiError } from '../http/index.js';

/** argon2id; 19 MiB, two passes, one lane. The algorithm is given by its number: its enum exists for the compiler only. */
const ARGON2ID: Options = { algorithm: 2, memoryCost: 19_456, timeCost: 2, parallelism: 1 };

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

  /** @throws {ApiError} 503 when too many are waiting already */
  hash(password: string): Promise<string> {
    return this.queued(() => hash(password, ARGON2ID));
  }

  /**
   * @param stored undefined for a user that does not exist: the answer is false, after the time of a real check
   * @throws {ApiError} 503 when too many are waiting already
   */
  async verify(stored: string | undefined, password: string): Promise<boolean> {
    const matches = await this.queued(() => verify(stored ?? this.nobody, password));
    return matches && stored !== undefined;
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
