import { YuxiError } from '@yuxi/core';

/** A provider's name leads to an address inside. Code `BLOCKED_ADDRESS`. */
export class BlockedAddressError extends YuxiError {
  constructor(host: string) {
    super(
      `${host} leads to an address that is not public: list it in ALLOWED_MODEL_HOSTS if models are meant to be there`,
      { code: 'BLOCKED_ADDRESS' },
    );
  }
}

/** The provider said no, or did not answer. Code `EMBEDDING_PROVIDER`; retryable unless it is the request that is wrong. */
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
      /** Milliseconds that the provider asks to wait. */
      retryAfter?: number;
      cause?: unknown;
    } = {},
  ) {
    super(`embedding model ${model}: ${reason}`, { code: 'EMBEDDING_PROVIDER', retryable, cause });
    this.retryAfter = retryAfter;
  }

  readonly retryAfter: number | undefined;
}
