import type { LockAcquireEvent, LockEndEvent, LockRenewEvent } from '@yuxi/lock';

/** In your application: your tracing. */
export const spans: (LockAcquireEvent | LockEndEvent | LockRenewEvent)[] = [];
const span = (event: LockAcquireEvent | LockEndEvent | LockRenewEvent) => void spans.push(event);

// README
