import { Injectable, type OnModuleInit } from '@nestjs/common';
import { DiscoveryService, MetadataScanner } from '@nestjs/core';
import { PolicyBook } from '../policies/policy-book.js';
import { RATE_LIMITS, type RouteLimit } from './rate-limit.decorator.js';

/** Stops the boot when a controller names a policy that nobody declares: else each of its requests would fail. */
@Injectable()
export class RateLimitExplorer implements OnModuleInit {
  constructor(
    private readonly discovery: DiscoveryService,
    private readonly scanner: MetadataScanner,
    private readonly policies: PolicyBook,
  ) {}

  onModuleInit(): void {
    for (const { metatype } of this.discovery.getControllers()) {
      if (!metatype) continue;
      const prototype = metatype.prototype as Record<string, object>;
      const handlers = this.scanner.getAllMethodNames(prototype).map((name) => prototype[name]!);
      for (const target of [metatype, ...handlers])
        for (const { policy } of (Reflect.getMetadata(RATE_LIMITS, target) as RouteLimit[] | undefined) ?? [])
          this.policies.get(policy, `@RateLimit on ${metatype.name}`);
    }
  }
}
