import { Inject, Injectable } from '@nestjs/common';
import { requestContext } from '@yuxi/observability';
import { CLIENT_ADDRESS, type ClientAddress } from '@yuxi/throttler';

const MAX_USER_AGENT = 200;

/** Where a request comes from, as far as it is known. */
export interface RequestOrigin {
  /** As the limiter counts it: behind trusted proxies, IPv6 as its /64. */
  clientAddress: string | null;
  requestId: string | null;
  /** As the client sent it, cut to 200 characters. */
  userAgent: string | null;
}

/** Knows the origin of the request that is being answered, without being handed it. */
@Injectable()
export class Origin {
  constructor(@Inject(CLIENT_ADDRESS) private readonly clientAddress: ClientAddress) {}

  /** All null outside of a request. */
  current(): RequestOrigin {
    const { requestId = null, peer } = requestContext.getStore() ?? {};
    return {
      clientAddress: peer ? this.clientAddress(peer.remoteAddress, peer.forwardedFor) : null,
      requestId,
      userAgent: peer?.userAgent?.slice(0, MAX_USER_AGENT) ?? null,
    };
  }
}
