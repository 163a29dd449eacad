import { Logger } from '@nestjs/common';

const logger = new Logger('DatabaseListener');

/** Calls a listener to notices; its error must not cost the others theirs. */
export function guarded(call: () => void): void {
  try {
    call();
  } catch (error) {
    logger.error('a listener to notices of the database failed', error);
  }
}
