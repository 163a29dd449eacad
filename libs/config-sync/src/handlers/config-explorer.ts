import { Injectable, Logger } from '@nestjs/common';
import { DiscoveryService, MetadataScanner } from '@nestjs/core';
import { OptionsError } from '@yuxi/core';
import { ConfigSchema } from '../schema/config-schema.js';
import { ConfigHandlers } from './config-handlers.js';
import { sectionsOf } from './on-config-change.decorator.js';

type Methods = Record<string, (...args: unknown[]) => unknown>;

/** Finds the `@OnConfigChange` methods of all providers and controllers. */
@Injectable()
export class ConfigExplorer {
  private readonly logger = new Logger('LiveConfig');

  constructor(
    private readonly discovery: DiscoveryService,
    private readonly scanner: MetadataScanner,
    private readonly schema: ConfigSchema,
    private readonly handlers: ConfigHandlers,
  ) {}

  /** @throws {OptionsError} for an unknown section, a section given twice, or a class that has no single instance. */
  explore(): void {
    const seen = new Set<object>();
    for (const wrapper of [...this.discovery.getProviders(), ...this.discovery.getControllers()]) {
      const prototype = this.prototypeOf(wrapper.metatype, wrapper.instance);
      if (!prototype) continue;
      const found = this.scan(prototype);
      if (found.length === 0) continue;
      if (!wrapper.isDependencyTreeStatic())
        throw new OptionsError('@OnConfigChange', 'on a provider that is not request-scoped', found[0]!.name);
      const instance = wrapper.instance as Methods;
      if (seen.has(instance)) continue;
      seen.add(instance);
      for (const { section, name, method } of found) {
        this.handlers.add({ section, name, call: (next, info) => instance[method]!(next, info) });
        this.logger.log(`Changes of '${section}' go to ${name}`);
      }
    }
  }

  private prototypeOf(metatype: unknown, instance: unknown): object | undefined {
    if (typeof instance === 'object' && instance !== null) return Object.getPrototypeOf(instance) as object | undefined;
    const prototype: unknown = typeof metatype === 'function' ? metatype.prototype : undefined;
    return typeof prototype === 'object' && prototype !== null ? prototype : undefined;
  }

  private scan(prototype: object): { section: string; name: string; method: string }[] {
    return this.scanner.getAllMethodNames(prototype).flatMap((method) => {
      const sections = sectionsOf((prototype as Methods)[method]!);
      const name = `${prototype.constructor.name}.${method}`;
      return sections.map((section, index) => {
        if (!this.schema.names.includes(section))
          throw new OptionsError('@OnConfigChange', `one of ${this.schema.names.join(', ')}`, section, name);
        if (sections.indexOf(section) !== index)
          throw new OptionsError('@OnConfigChange', 'given once for a section', section, name);
        return { section, name, method };
      });
    });
  }
}
