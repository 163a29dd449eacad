import type { ThrottlerStorage } from '@nestjs/throttler';

/** What the guard of @nestjs/throttler reads; times in whole seconds. */
export type ThrottlerStorageRecord = Awaited<ReturnType<ThrottlerStorage['increment']>>;
