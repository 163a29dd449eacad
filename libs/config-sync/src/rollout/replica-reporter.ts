import { randomBytes } from 'node:crypto';
import { Inject, Injectable, Logger } from '@nestjs/common';
import { Coalesced } from '../coalesced.js';
import { CONFIG_SYNC_OPTIONS, type ResolvedConfigSyncOptions } from '../config-sync.options.js';
import { type ReplicaReport, ReplicaStore } from './replica.store.js';

/** Writes to the database what this replica serves. The next heartbeat repeats a write that failed. */
@Injectable()
export class ReplicaReporter {
  readonly #log = new Logger('LiveConfig');
  readonly #instance = randomBytes(6).toString('hex');
  readonly #writes = new Coalesced(() => this.#write());
  #name: string;
  #report: ReplicaReport = {};
  #joined = false;
  #left = false;

  constructor(
    private readonly store: ReplicaStore,
    @Inject(CONFIG_SYNC_OPTIONS) { replica }: ResolvedConfigSyncOptions,
  ) {
    this.#name = replica;
  }

  /** Resolves after the write, also when it failed. Never rejects. */
  report(report: ReplicaReport): Promise<void> {
    this.#report = report;
    return this.#writes.run();
  }

  /** Sends a heartbeat. Never rejects. */
  beat(): Promise<void> {
    return this.#writes.run();
  }

  /** Removes this replica from the rollout. Never rejects. */
  async leave(): Promise<void> {
    this.#left = true;
    await this.#writes.run();
    try {
      if (this.#joined) await this.store.leave(this.#name, this.#instance);
    } catch (error) {
      this.#log.warn(
        `Rollouts list ${this.#name} as missing for an hour, because its row could not be removed: ${(error as Error).message}`,
      );
    }
  }

  async #write(): Promise<void> {
    if (this.#left) return;
    try {
      if (this.#joined && (await this.store.report(this.#name, this.#instance, this.#report))) return;
      if (this.#joined) await this.#findName();
      await this.store.join(this.#name, this.#instance, this.#report);
      this.#joined = true;
    } catch (error) {
      // Only debug: the read of the head fails at the same time and writes an error.
      this.#log.debug(`The heartbeat was not written: ${(error as Error).message}`);
    }
  }

  /** The row is missing: it was removed after a long silence, or another process with the same name replaced it. */
  async #findName(): Promise<void> {
    if (!(await this.store.isTaken(this.#name, this.#instance))) return;
    const name = `${this.#name}~${this.#instance.slice(0, 4)}`;
    this.#log.warn(`Another process uses the replica name ${this.#name}: this one now uses ${name}`);
    this.#name = name;
  }
}
