import type { LimitPolicy } from '@yuxi/throttler';

/** Limits of the API beside those of logins, which the limiter brings along. */
export const LIMITS: readonly LimitPolicy[] = [
  // A client that works refreshes once in 15 minutes; behind one address there may be many.
  { name: 'tokens', limit: 120, window: '1m' },
];
