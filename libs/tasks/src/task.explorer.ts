import { Injectable, Logger, type OnModuleInit } from '@nestjs/common';
import { DiscoveryService, MetadataScanner } from '@nestjs/core';
import { OptionsError } from '@yuxi/core';
import { QueueEngines } from './queue-engines.js';
import { taskOptionsOf } from './task.decorator.js';
import { TaskRegistry } from './task.registry.js';
import type { TaskHandler } from './task.types.js';

type Wrapper = ReturnType<DiscoveryService['getProviders']>[number];

/** Finds every `@Task` of the application when it starts. */
@Injectable()
export class TaskExplorer implements OnModuleInit {
  private readonly logger = new Logger('Tasks');
  private readonly scanner = new MetadataScanner();

  constructor(
    private readonly discovery: DiscoveryService,
    private readonly registry: TaskRegistry,
    private readonly engines: QueueEngines,
  ) {}

  onModuleInit(): void {
    const seen = new Set<unknown>();
    for (const wrapper of this.discovery.getProviders()) {
      const prototype = prototypeOf(wrapper);
      // An alias (useExisting) shows the same instance a second time.
      if (!prototype || seen.has(wrapper.instance)) continue;
      if (wrapper.instance) seen.add(wrapper.instance);
      for (const key of this.scanner.getAllMethodNames(prototype)) this.explore(wrapper, prototype, key);
    }
    this.engines.check();
  }

  private explore(wrapper: Wrapper, prototype: object, key: string): void {
    const method = (prototype as Record<string, unknown>)[key];
    const options = taskOptionsOf(method);
    if (!options) return;
    const where = `@Task on ${wrapper.name}.${key}`;
    if (!wrapper.isDependencyTreeStatic())
      throw new OptionsError('scope', 'the default one, because no request runs a task', 'request or transient', where);
    const instance = wrapper.instance as Record<string, TaskHandler>;
    const { name, version } = this.registry.add(options, where, (payload, context) => instance[key]!(payload, context));
    this.logger.log(`task ${name} (version ${version}) -> ${wrapper.name}.${key}`);
  }
}

/** Request-scoped providers have no instance yet, so their class is looked at. */
function prototypeOf({ instance, metatype }: Wrapper): object | undefined {
  const found: unknown = instance
    ? Object.getPrototypeOf(instance)
    : (metatype as { prototype?: unknown } | null)?.prototype;
  return typeof found === 'object' && found !== null && found !== Object.prototype ? found : undefined;
}
