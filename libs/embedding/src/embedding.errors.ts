import { YuxiError } from '@yuxi/core';

/** The host of a provider resolves to an address that is not public. Code `BLOCKED_ADDRESS`. */
export class BlockedAddressError extends YuxiError {
  constructor(host: string) {
    super(
      `${host} resolves to an address that is not public. To use models there, add the host to ALLOWED_MODEL_HOSTS`,
      { code: 'BLOCKED_ADDRESS' },
    );
  }
}

/** The provider refused the request or did not answer. Code `EMBEDDING_PROVIDER`; not retryable when the request itself is wrong. */
export class EmbeddingProviderError extends YuxiError {
  constructor(
    model: string,
    reason: string,
    {
      retryable = true,
      retryAfter,
      cause,
    }: {
      retryable?: boolean;
      /** Value of `Retry-After`, milliseconds. */
      retryAfter?: number;
      cause?: unknown;
    } = {},
  ) {
    super(`embedding model ${model}: ${reason}`, { code: 'EMBEDDING_PROVIDER', retryable, cause });
    this.retryAfter = retryAfter;
  }

  readonly retryAfter: number | undefined;
}
