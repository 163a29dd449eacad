import { YuxiError } from '@yuxi/core';

/** The database is unreachable, the connection was lost or refused, or the schema is not ready yet. */
export class DatabaseUnavailableError extends YuxiError {
  constructor(where: string, reason: string, cause?: unknown) {
    super(`database at ${where} cannot be used: ${reason}`, { code: 'DATABASE_UNAVAILABLE', retryable: true, cause });
  }
}

/** The database did not answer within the timeout of the caller. The statement may have run. */
export class DatabaseTimeoutError extends YuxiError {
  constructor(readonly timeout: number) {
    super(`the database did not answer within ${timeout} ms`, { code: 'DATABASE_TIMEOUT', retryable: true });
  }
}

/** There is no room for new content; nothing of it was stored. Stored content can be read and deleted. */
export class StorageFullError extends YuxiError {
  constructor(
    /** How much room there is, or the message of the database or the system. */
    readonly reason: string,
    cause?: unknown,
  ) {
    super(
      `the storage is full: ${reason}. Delete files on its disk, or use a larger one; stored content can be read and deleted`,
      {
        code: 'STORAGE_FULL',
        retryable: true,
        cause,
      },
    );
  }
}

/** Other transactions blocked this one: repeated deadlocks, or a lock timeout. Nothing was changed. */
export class DatabaseBusyError extends YuxiError {
  constructor(cause: unknown) {
    super(`the database is busy: ${(cause as Error).message}`, { code: 'DATABASE_BUSY', retryable: true, cause });
  }
}

/** Another process has the PGlite folder open. */
export class DataFolderInUseError extends YuxiError {
  constructor(folder: string, holder: string) {
    super(
      `data folder ${folder} is open in ${holder}: stop that process, choose another data folder, ` +
        'or set a database URL (several processes need PostgreSQL)',
      { code: 'DATA_FOLDER_IN_USE' },
    );
  }
}

/** The SQL of a migration failed; the migration was rolled back. */
export class MigrationError extends YuxiError {
  constructor(id: string, cause: unknown) {
    super(`migration ${id} failed: ${cause instanceof Error ? cause.message : String(cause)}`, {
      code: 'MIGRATION_FAILED',
      cause,
    });
  }
}

/** A migration did not get the locks of its tables; it was rolled back. */
export class MigrationBlockedError extends YuxiError {
  constructor(id: string, wait: number, tries: number, blockers: string, cause: unknown) {
    super(
      `migration ${id} did not get the locks of its tables within ${wait} ms (${tries} tries): ${blockers}. Wait for the end of ` +
        'these transactions, or end their sessions with pg_terminate_backend(pid), and start again',
      { code: 'MIGRATION_BLOCKED', retryable: true, cause },
    );
  }
}

export class BlobNotFoundError extends YuxiError {
  constructor(readonly hash: string) {
    super(`no blob with hash ${hash}`, { code: 'BLOB_NOT_FOUND' });
  }
}

/** A file still refers to the blob. */
export class BlobInUseError extends YuxiError {
  constructor(readonly hash: string) {
    super(`blob ${hash} is used by a file: delete the file first`, { code: 'BLOB_IN_USE' });
  }
}

/** A content is larger than allowed. */
export class PayloadTooLargeError extends YuxiError {
  constructor(
    /** Bytes. */
    readonly limit: number,
  ) {
    super(`The file is larger than ${limit} bytes; split it or raise the upload limit`, { code: 'PAYLOAD_TOO_LARGE' });
  }
}

/** The contents that are received at the same time use all of their space. */
export class SpoolSpaceError extends YuxiError {
  constructor() {
    super('Too many large files are being received at once; send this one again later', {
      code: 'OVERLOADED',
      retryable: true,
    });
  }
}
