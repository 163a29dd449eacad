import { randomBytes } from 'node:crypto';
import { Inject, Injectable, Logger } from '@nestjs/common';
import { Coalesced } from '../coalesced.js';
import { CONFIG_SYNC_OPTIONS } from '../config-sync.options.js';
import type { ResolvedConfigSyncOptions } from '../config-sync.options.js';
import { type ReplicaReport, ReplicaStore } from './replica.store.js';

/** Tells all others, in the database, what this replica serves. What cannot be told now is told with the next heartbeat. */
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

  /** By which the others know this replica. */
  get name(): string {
    return this.#name;
  }

  /** Never rejects; resolves when it was told, or could not be. */
  tell(report: ReplicaReport): Promise<void> {
    this.#report = report;
    return this.#writes.run();
  }

  /** Says that this replica is alive. Never rejects. */
  beat(): Promise<void> {
    return this.#writes.run();
  }

  /** This replica no longer counts. Never rejects. */
  async leave(): Promise<void> {
    this.#left = true;
    await this.#writes.run();
    try {
      if (this.#joined) await this.store.leave(this.#name, this.#instance);
    } catch (error) {
      this.#log.warn(`Others will miss ${this.#name} for an hour: ${(error as Error).message}`);
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
      // The read of the head that goes with it fails too, and is what the log tells.
      this.#log.debug(`Not told what this replica serves: ${(error as Error).message}`);
    }
  }

  /** The row is gone: forgotten after a long silence, or taken by another process that was given the same name. */
  async #findName(): Promise<void> {
    if (!(await this.store.isTaken(this.#name, this.#instance))) return;
    const name = `${this.#name}~${this.#instance.slice(0, 4)}`;
    this.#log.warn(`Another process calls itself replica ${this.#name}: this one goes by ${name}`);
    this.#name = name;
  }
}
