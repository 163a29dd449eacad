import { Injectable, type OnModuleInit } from '@nestjs/common';
import { DiscoveryService } from '@nestjs/core';
import { discoverClasses, methodsOf } from '@yuxi/core/discovery';
import { PolicyBook } from '../policies/policy-book.js';
import { RATE_LIMITS, type RouteLimit } from './rate-limit.decorator.js';

/** Stops the boot when a controller names a policy that nobody declares: else each of its requests would fail. */
@Injectable()
export class RateLimitExplorer implements OnModuleInit {
  constructor(
    private readonly discovery: DiscoveryService,
    private readonly policies: PolicyBook,
  ) {}

  onModuleInit(): void {
    for (const controller of discoverClasses(this.discovery, { providers: false, controllers: true })) {
      const onClass = limitsOf(controller.prototype.constructor) ?? [];
      const onMethods = methodsOf(controller, limitsOf).flatMap(({ metadata }) => metadata);
      for (const { policy } of [...onClass, ...onMethods])
        this.policies.get(policy, `@RateLimit on ${controller.name}`);
    }
  }
}

const limitsOf = (target: object) => Reflect.getMetadata(RATE_LIMITS, target) as RouteLimit[] | undefined;
