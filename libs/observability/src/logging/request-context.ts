import { AsyncLocalStorage } from 'node:async_hooks';

export interface RequestContext {
  requestId: string;
}

/** Who is asking: filled by the HTTP layer with `requestContext.run({ requestId }, next)`, read by every log line. */
export const requestContext = new AsyncLocalStorage<RequestContext>();
