import { YuxiError } from '@yuxi/core';

/**
 * The result of `work` if it comes within `ms`; a later one is dropped.
 * @throws {YuxiError} `CONFIG_TIMEOUT` with `message`.
 */
export async function within<T>(ms: number, message: string, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new YuxiError(message, { code: 'CONFIG_TIMEOUT', retryable: true })), ms);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
