import type { LockAcquireEvent, LockEndEvent, LockRenewEvent } from '@yuxi/lock';

/** Yours: what your tracing makes of it. */
export const spans: (LockAcquireEvent | LockEndEvent | LockRenewEvent)[] = [];
const span = (event: LockAcquireEvent | LockEndEvent | LockRenewEvent) => void spans.push(event);

// README
