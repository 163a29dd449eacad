import { YuxiError } from '@yuxi/core';
import type { ConfigDifference } from './schema/diff.js';

export interface ConfigIssue {
  /** Section and key, e.g. `general.chunk_size`. */
  path: string;
  /** What the value must be. */
  rule: string;
  /** Short form of the value given. */
  got: string;
}

/** Errors that a message names; all of them are in `errors`. */
const TOLD = 5;

/**
 * A patch that breaks the schema; nothing was changed.
 * `code` is `CONFIG_KEY_REFUSED` when a key could reach an object's prototype, else `CONFIG_INVALID`.
 */
export class ConfigValidationError extends YuxiError {
  constructor(
    readonly errors: readonly ConfigIssue[],
    code: 'CONFIG_INVALID' | 'CONFIG_KEY_REFUSED' = 'CONFIG_INVALID',
  ) {
    const told = errors.slice(0, TOLD).map(({ path, rule, got }) => `${path || 'patch'} ${rule}, got ${got}`);
    if (errors.length > TOLD) told.push(`and ${errors.length - TOLD} more`);
    super(told.join('; '), { code });
  }
}

/** Somebody else changed the configuration since `expected` was read; nothing was changed. Read again, then decide. */
export class ConfigConflictError extends YuxiError {
  constructor(
    readonly expected: number,
    /** The revision that holds now. */
    readonly revision: number,
    /** What changed since the expected revision, where that is known. */
    readonly changes?: readonly ConfigDifference[],
  ) {
    super(`configuration is at revision ${revision}, not ${expected}: read it again before changing it`, {
      code: 'CONFIG_CONFLICT',
    });
  }

  get details() {
    return { revision: this.revision, ...(this.changes && { changes: this.changes }) };
  }
}

/** Something took longer than its option allows; tried again by itself. */
export class ConfigTimeoutError extends YuxiError {
  constructor(message: string) {
    super(message, { code: 'CONFIG_TIMEOUT', retryable: true });
  }
}

/** There is no such revision in the history. */
export class ConfigRevisionError extends YuxiError {
  constructor(readonly revision: number) {
    super(`there is no revision ${revision} in the history`, { code: 'CONFIG_REVISION_NOT_FOUND' });
  }
}

/** The configuration could not be read from the database. Never answered with an empty one instead. */
export class ConfigUnavailableError extends YuxiError {
  constructor(reason: string, cause?: unknown) {
    super(`configuration is not available: ${reason}`, { code: 'CONFIG_UNAVAILABLE', retryable: true, cause });
  }
}
