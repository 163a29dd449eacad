import { AsyncLocalStorage } from 'node:async_hooks';

/** The other end of the connection, as the request came in. Nothing in it is proven. */
export interface RequestPeer {
  /** Of the connection: the client's, or that of a proxy in front. */
  remoteAddress?: string;
  forwardedFor?: string | string[];
  userAgent?: string;
}

export interface RequestContext {
  requestId: string;
  /** W3C trace context of the caller, as its `traceparent` header said it. */
  traceparent?: string;
  peer?: RequestPeer;
}

/** Who is asking: filled by the HTTP layer with `requestContext.run({ requestId }, next)`, read by every log line. */
export const requestContext = new AsyncLocalStorage<RequestContext>();
