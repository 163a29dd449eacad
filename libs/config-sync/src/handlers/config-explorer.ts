import { Injectable, Logger } from '@nestjs/common';
import { DiscoveryService } from '@nestjs/core';
import { OptionsError } from '@yuxi/core';
import { discoverMethods } from '@yuxi/core/discovery';
import { ConfigSchema } from '../schema/config-schema.js';
import { ConfigHandlers } from './config-handlers.js';
import { sectionsOf } from './on-config-change.decorator.js';

/** Registers the `@OnConfigChange` methods of all providers and controllers. */
@Injectable()
export class ConfigExplorer {
  readonly #logger = new Logger('LiveConfig');

  constructor(
    private readonly discovery: DiscoveryService,
    private readonly schema: ConfigSchema,
    private readonly handlers: ConfigHandlers,
  ) {}

  /** @throws {OptionsError} for an unknown section, a section given twice, or a class that has no single instance. */
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
        this.#logger.log(`Changes of '${section}' go to ${name}`);
      }
    }
  }
}
