import { Injectable, Logger, type OnModuleInit } from '@nestjs/common';
import { DiscoveryService } from '@nestjs/core';
import { OptionsError } from '@yuxi/core';
import { discoverClasses, methodsOf } from '@yuxi/core/discovery';
import { TaskRegistry } from '@yuxi/tasks';
import { SagaRunner } from '../run/saga.runner.js';
import { sagaTask } from '../run/saga.task.js';
import { sagaOptionsOf, stepOptionsOf } from './saga.decorators.js';
import { defineSaga } from './saga.definition.js';
import { SagaRegistry } from './saga.registry.js';

/** Registers every `@Saga` of the application when it starts, and a task for each. */
@Injectable()
export class SagaExplorer implements OnModuleInit {
  readonly #logger = new Logger('Sagas');

  constructor(
    private readonly discovery: DiscoveryService,
    private readonly sagas: SagaRegistry,
    private readonly tasks: TaskRegistry,
    private readonly runner: SagaRunner,
  ) {}

  onModuleInit(): void {
    for (const saga of discoverClasses(this.discovery)) {
      const options = sagaOptionsOf(saga.prototype.constructor);
      if (!options) continue;
      const where = `@Saga on ${saga.name}`;
      if (!saga.isStatic || !saga.instance)
        throw new OptionsError(
          'scope',
          'the default one, because no request runs a saga',
          'request or transient',
          where,
        );
      const steps = methodsOf(saga, stepOptionsOf).map(({ key, metadata }) => ({ method: key, options: metadata }));
      const definition = defineSaga(options, steps, saga.instance as Record<string, unknown>, where);
      this.sagas.add(definition, where);
      this.tasks.add(sagaTask(definition, this.runner.engine), where, (payload, context) =>
        this.runner.run(definition, payload as never, context),
      );
      this.#logger.log(`saga ${definition.name} (version ${definition.version}): ${definition.steps.length} steps`);
    }
  }
}
