import { randomBytes } from 'node:crypto';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { Inject, Injectable, Logger } from '@nestjs/common';
import { Coalesced } from './coalesced.js';
import { CONFIG_SYNC_OPTIONS, type ResolvedConfigSyncOptions } from './config-sync.options.js';
import type { ConfigHead } from './config.store.js';
import { hashOf, isObject, type Json, type JsonObject } from './schema/json.js';

/** A file with the head that this replica served last. A start reads it when the database is unavailable. */
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

  /** Replaces the file in one step, so it is never incomplete. Never rejects. */
  async keep(head: ConfigHead): Promise<void> {
    if (this.#path === undefined) return;
    this.#head = head;
    await this.#writes.run();
  }

  /** Resolves when all writes have ended. */
  async settled(): Promise<void> {
    if (this.#head) await this.#writes.run();
  }

  /** @returns undefined when there is no file, or it is damaged, or it belongs to another scope */
  async read(): Promise<ConfigHead | undefined> {
    if (this.#path === undefined) return undefined;
    try {
      const head = this.#check(JSON.parse(await readFile(this.#path, 'utf8')));
      if (!head) this.#log.warn(`${this.#path} is not a complete configuration of scope ${this.#scope}: not used`);
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
    const complete =
      scope === this.#scope &&
      typeof epoch === 'string' &&
      Number.isSafeInteger(revision) &&
      isObject(stored) &&
      hashOf(stored as Json) === hash;
    return complete ? { epoch, revision: revision as number, hash, stored: stored as JsonObject } : undefined;
  }

  async #write(): Promise<void> {
    const path = this.#path!;
    const temporary = `${path}.${randomBytes(4).toString('hex')}`;
    try {
      await mkdir(dirname(path), { recursive: true });
      const content = JSON.stringify({ scope: this.#scope, ...this.#head });
      await writeFile(temporary, content, { mode: 0o600, flush: true });
      await rename(temporary, path);
      this.#failing = false;
    } catch (error) {
      await rm(temporary, { force: true }).catch(() => undefined);
      // Only once: on a read-only disk every revision would write this line.
      if (!this.#failing) this.#log.warn(`${path} cannot be written: ${(error as Error).message}`);
      this.#failing = true;
    }
  }
}
