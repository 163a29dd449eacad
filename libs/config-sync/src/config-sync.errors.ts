import { YuxiError } from '@yuxi/core';
import type { ConfigDifference } from './schema/json.js';

export interface ConfigIssue {
  /** Section and key, for example `general.chunk_size`. */
  path: string;
  /** The rule that the value breaks. */
  rule: string;
  /** Short form of the value given. */
  got: string;
}

/** Most issues that a message names. All of them are in `errors`. */
const MAX_NAMED = 5;

/**
 * A patch breaks the schema. Nothing was changed.
 * `code` is `CONFIG_KEY_REFUSED` when a key could reach an object's prototype, else `CONFIG_INVALID`.
 */
export class ConfigValidationError extends YuxiError {
  constructor(
    readonly errors: readonly ConfigIssue[],
    code: 'CONFIG_INVALID' | 'CONFIG_KEY_REFUSED' = 'CONFIG_INVALID',
  ) {
    const named = errors.slice(0, MAX_NAMED).map(({ path, rule, got }) => `${path || 'patch'} ${rule}, got ${got}`);
    if (errors.length > MAX_NAMED) named.push(`and ${errors.length - MAX_NAMED} more`);
    super(named.join('; '), { code });
  }
}

/** Another writer changed the configuration after `expected` was read. Nothing was changed. Read it again, then decide. */
export class ConfigConflictError extends YuxiError {
  constructor(
    readonly expected: number,
    /** The revision of the present head. */
    readonly revision: number,
    /** The changes since the expected revision, if the history has them. */
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

/** A read or a handler took longer than its option allows. The next reconcile tries again. */
export class ConfigTimeoutError extends YuxiError {
  constructor(message: string) {
    super(message, { code: 'CONFIG_TIMEOUT', retryable: true });
  }
}

/** The history has no such revision. */
export class ConfigRevisionError extends YuxiError {
  constructor(readonly revision: number) {
    super(`there is no revision ${revision} in the history`, { code: 'CONFIG_REVISION_NOT_FOUND' });
  }
}

/** The configuration cannot be read from the database. An empty one is never used instead. */
export class ConfigUnavailableError extends YuxiError {
  constructor(reason: string, cause?: unknown) {
    super(`configuration is not available: ${reason}`, { code: 'CONFIG_UNAVAILABLE', retryable: true, cause });
  }
}
