import { Global, Module } from '@nestjs/common';
import { HealthRegistry } from './health.registry.js';
import { LivenessProbe } from './liveness.probe.js';

/** Global: any library may inject {@link HealthRegistry} (with `@Optional()`) and register what it depends on. */
@Global()
@Module({ providers: [HealthRegistry, LivenessProbe], exports: [HealthRegistry, LivenessProbe] })
export class HealthModule {}
