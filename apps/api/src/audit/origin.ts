import { Inject, Injectable } from '@nestjs/common';
import { requestContext } from '@yuxi/observability';
import { CLIENT_ADDRESS, type ClientAddress } from '@yuxi/throttler';

const MAX_USER_AGENT = 200;

/** Where a request comes from. */
export interface RequestOrigin {
  /** The key under which the limiter counts the client: trusted proxies are skipped, IPv6 is cut to its /64. */
  clientAddress: string | null;
  requestId: string | null;
  /** As the client sent it, cut to 200 characters. */
  userAgent: string | null;
}

/** Finds the origin of the current request by its async context. */
@Injectable()
export class Origin {
  constructor(@Inject(CLIENT_ADDRESS) private readonly clientAddress: ClientAddress) {}

  /** All fields are null outside of a request. */
  current(): RequestOrigin {
    const { requestId = null, peer } = requestContext.getStore() ?? {};
    return {
      clientAddress: peer ? this.clientAddress(peer.remoteAddress, peer.forwardedFor) : null,
      requestId,
      userAgent: peer?.userAgent?.slice(0, MAX_USER_AGENT) ?? null,
    };
  }
}
