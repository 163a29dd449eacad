import { Injectable, Logger, type OnModuleInit } from '@nestjs/common';
import { DiscoveryService } from '@nestjs/core';
import { OptionsError } from '@yuxi/core';
import { discoverMethods } from '@yuxi/core/discovery';
import { QueueEngines } from './queue-engines.js';
import { taskOptionsOf } from './task.decorator.js';
import { TaskRegistry } from './task.registry.js';

/** Registers every `@Task` of the application when it starts. */
@Injectable()
export class TaskExplorer implements OnModuleInit {
  readonly #logger = new Logger('Tasks');

  constructor(
    private readonly discovery: DiscoveryService,
    private readonly registry: TaskRegistry,
    private readonly engines: QueueEngines,
  ) {}

  onModuleInit(): void {
    for (const { owner, name: method, metadata, call } of discoverMethods(this.discovery, taskOptionsOf)) {
      const where = `@Task on ${method}`;
      if (!owner.isStatic)
        throw new OptionsError(
          'scope',
          'the default scope, because a task runs outside of requests',
          'request or transient',
          where,
        );
      const { name, version } = this.registry.add(metadata, where, call);
      this.#logger.log(`task ${name} (version ${version}) -> ${method}`);
    }
    this.engines.check();
  }
}
