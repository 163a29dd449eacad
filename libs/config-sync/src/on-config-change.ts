import 'reflect-metadata';
import { Injectable, Logger } from '@nestjs/common';
import { DiscoveryService } from '@nestjs/core';
import { OptionsError } from '@yuxi/core';
import { discoverMethods } from '@yuxi/core/discovery';
import { ConfigHandlers } from './config-replica.js';
import { ConfigSchema } from './schema/config-schema.js';

const SECTIONS = Symbol.for('@yuxi/config-sync:OnConfigChange');

export interface ConfigChangeInfo<Section = unknown> {
  /** The values that this method accepted last. Undefined at start-up. */
  previous: Section | undefined;
  revision: number;
}

/**
 * Calls the method with the new values of the section: `(next, { previous, revision })`. The calls come once at start-up, then on every
 * replica when the values change, before `LiveConfig` serves the revision.
 * If the method throws, the old revision stays in force and the next reconcile calls it again. Calling it twice with the same values must
 * be harmless.
 */
export function OnConfigChange(section: string): MethodDecorator {
  return (_prototype, _key, descriptor: PropertyDescriptor) => {
    const method = descriptor.value as object;
    Reflect.defineMetadata(SECTIONS, [...(sectionsOf(method) ?? []), section], method);
  };
}

function sectionsOf(method: object): string[] | undefined {
  return Reflect.getMetadata(SECTIONS, method) as string[] | undefined;
}

/** Registers the `@OnConfigChange` methods of all providers and controllers. */
@Injectable()
export class ConfigExplorer {
  readonly #log = new Logger('LiveConfig');

  constructor(
    private readonly discovery: DiscoveryService,
    private readonly schema: ConfigSchema,
    private readonly handlers: ConfigHandlers,
  ) {}

  /** @throws {OptionsError} for an unknown section, a section given twice, or a class without a single instance */
  explore(): void {
    const scope = { providers: true, controllers: true };
    for (const { owner, name, metadata: sections, call } of discoverMethods(this.discovery, sectionsOf, scope)) {
      for (const [index, section] of sections.entries()) {
        if (!this.schema.names.includes(section))
          throw new OptionsError('@OnConfigChange', `one of ${this.schema.names.join(', ')}`, section, name);
        if (sections.indexOf(section) !== index)
          throw new OptionsError('@OnConfigChange', 'given once for a section', section, name);
      }
      if (!owner.isStatic) throw new OptionsError('@OnConfigChange', 'on a provider that is not request-scoped', name);
      for (const section of sections) {
        this.handlers.add({ section, name, call });
        this.#log.log(`Changes of '${section}' go to ${name}`);
      }
    }
  }
}
