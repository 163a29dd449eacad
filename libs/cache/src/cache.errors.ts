import { YuxiError } from '@yuxi/core';

/** The provider's answer is not one vector of finite numbers for each text. Code `EMBEDDING_ANSWER`, retryable; nothing was kept. */
export class EmbeddingAnswerError extends YuxiError {
  constructor(model: string, problem: string, cause?: unknown) {
    super(`embedding model ${model}: ${problem}`, { code: 'EMBEDDING_ANSWER', retryable: true, cause });
  }
}
