import { AsyncLocalStorage } from 'node:async_hooks';
import { Injectable, Logger } from '@nestjs/common';
import { within } from '@yuxi/core';
import { ConfigTimeoutError } from '../config-sync.errors.js';
import type { Values } from '../schema/config-schema.js';
import { canonical } from '../schema/json.js';

export interface Handler {
  section: string;
  /** `Class.method`, for logs. */
  name: string;
  call: (next: unknown, info: { previous: unknown; revision: number }) => unknown;
}

interface Entry extends Handler {
  given?: { text: string; value: unknown };
  failedAt?: number;
}

const running = new AsyncLocalStorage<{ active: boolean }>();

/** The `@OnConfigChange` methods, and what each of them was given last. */
@Injectable()
export class ConfigHandlers {
  private readonly logger = new Logger('LiveConfig');
  private readonly entries: Entry[] = [];

  /** Whether the caller runs inside a handler, where waiting for an apply would wait for itself. */
  static get active(): boolean {
    return running.getStore()?.active ?? false;
  }

  add(handler: Handler): void {
    this.entries.push({ ...handler });
  }

  /** Whether every method has these values. */
  have(values: Values): boolean {
    return this.entries.every((entry) => entry.given?.text === canonical(values[entry.section]));
  }

  /**
   * Gives each method its section if it does not have it. All are tried, one after another.
   * @returns undefined when all have it now, else what one of them said.
   */
  async offer(values: Values, revision: number, timeout: number): Promise<string | undefined> {
    let refusal: string | undefined;
    for (const entry of this.entries) refusal = (await this.give(entry, values, revision, timeout)) ?? refusal;
    return refusal;
  }

  private async give(entry: Entry, values: Values, revision: number, timeout: number): Promise<string | undefined> {
    const value = values[entry.section];
    const text = canonical(value);
    if (entry.given?.text === text) return undefined;
    const context = { active: true };
    try {
      const info = { previous: entry.given?.value, revision };
      await within(
        timeout,
        running.run(context, async () => entry.call(value, info)),
        () => new ConfigTimeoutError(`${entry.name} took longer than ${timeout} ms`),
      );
      entry.given = { text, value };
      entry.failedAt = undefined;
      return undefined;
    } catch (error) {
      if (entry.failedAt !== revision)
        this.logger.error(`${entry.name} refused revision ${revision} of '${entry.section}'; trying again`, error);
      entry.failedAt = revision;
      return `${entry.name}: ${(error as Error).message}`;
    } finally {
      context.active = false;
    }
  }
}
