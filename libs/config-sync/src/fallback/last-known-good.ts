import { randomBytes } from 'node:crypto';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { Inject, Injectable, Logger } from '@nestjs/common';
import { Coalesced } from '../coalesced.js';
import { CONFIG_SYNC_OPTIONS } from '../config-sync.options.js';
import type { ResolvedConfigSyncOptions } from '../config-sync.options.js';
import { hashOf, isObject } from '../schema/json.js';
import type { Json, JsonObject } from '../schema/json.js';
import type { ConfigHead } from '../store/config-head.js';

/** The head this replica served last, in a file, for a start while the database cannot be read. */
@Injectable()
export class LastKnownGood {
  readonly #log = new Logger('LiveConfig');
  readonly #path: string | undefined;
  readonly #scope: string;
  readonly #writes = new Coalesced(() => this.#write());
  #head?: ConfigHead;
  #failing = false;

  constructor(@Inject(CONFIG_SYNC_OPTIONS) { lastKnownGood, scope }: ResolvedConfigSyncOptions) {
    this.#path = lastKnownGood;
    this.#scope = scope;
  }

  /** Writes the file, in place of the one before and never half of it. Never rejects. */
  async keep(head: ConfigHead): Promise<void> {
    if (this.#path === undefined) return;
    this.#head = head;
    await this.#writes.run();
  }

  /** Resolves when nothing is being written any more. */
  async settled(): Promise<void> {
    if (this.#head) await this.#writes.run();
  }

  /** @returns undefined when there is no file, or one that is not whole or not of this scope. */
  async read(): Promise<ConfigHead | undefined> {
    if (this.#path === undefined) return undefined;
    try {
      const head = this.#check(JSON.parse(await readFile(this.#path, 'utf8')));
      if (!head) this.#log.warn(`${this.#path} is not a configuration of scope ${this.#scope}: not used`);
      return head;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT')
        this.#log.warn(`${this.#path} cannot be read: ${(error as Error).message}`);
      return undefined;
    }
  }

  #check(content: unknown): ConfigHead | undefined {
    if (!isObject(content)) return undefined;
    const { scope, epoch, revision, hash, stored } = content;
    const whole =
      scope === this.#scope &&
      typeof epoch === 'string' &&
      Number.isSafeInteger(revision) &&
      isObject(stored) &&
      hashOf(stored as Json) === hash;
    return whole ? { epoch, revision: revision as number, hash, stored: stored as JsonObject } : undefined;
  }

  async #write(): Promise<void> {
    const path = this.#path!;
    const unfinished = `${path}.${randomBytes(4).toString('hex')}`;
    try {
      await mkdir(dirname(path), { recursive: true });
      const content = JSON.stringify({ scope: this.#scope, ...this.#head });
      await writeFile(unfinished, content, { mode: 0o600, flush: true });
      await rename(unfinished, path);
      this.#failing = false;
    } catch (error) {
      await rm(unfinished, { force: true }).catch(() => undefined);
      // Once: on a read-only disk every revision would say it.
      if (!this.#failing) this.#log.warn(`${path} cannot be written: ${(error as Error).message}`);
      this.#failing = true;
    }
  }
}
