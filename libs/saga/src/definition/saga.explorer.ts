import { Injectable, Logger, type OnModuleInit } from '@nestjs/common';
import { DiscoveryService, MetadataScanner } from '@nestjs/core';
import { OptionsError } from '@yuxi/core';
import { TaskRegistry } from '@yuxi/tasks';
import { SagaRunner } from '../run/saga.runner.js';
import { sagaTask } from '../run/saga.task.js';
import { sagaOptionsOf, stepOptionsOf } from './saga.decorators.js';
import { defineSaga } from './saga.definition.js';
import { SagaRegistry } from './saga.registry.js';

/** Finds every `@Saga` of the application when it starts, and makes a task of each. */
@Injectable()
export class SagaExplorer implements OnModuleInit {
  readonly #logger = new Logger('Sagas');
  readonly #scanner = new MetadataScanner();

  constructor(
    private readonly discovery: DiscoveryService,
    private readonly sagas: SagaRegistry,
    private readonly tasks: TaskRegistry,
    private readonly runner: SagaRunner,
  ) {}

  onModuleInit(): void {
    const seen = new Set<unknown>();
    for (const wrapper of this.discovery.getProviders()) {
      // Made by a factory it is known by its instance; request-scoped it has none yet.
      const type: unknown = (wrapper.instance as object | null)?.constructor ?? wrapper.metatype;
      const options = sagaOptionsOf(type);
      if (!options || seen.has(type)) continue;
      seen.add(type);
      const where = `@Saga on ${wrapper.name}`;
      if (!wrapper.isDependencyTreeStatic() || !wrapper.instance)
        throw new OptionsError(
          'scope',
          'the default one, because no request runs a saga',
          'request or transient',
          where,
        );
      const instance = wrapper.instance as Record<string, unknown>;
      const steps = this.#scanner.getAllMethodNames(Object.getPrototypeOf(instance) as object).flatMap((method) => {
        const step = stepOptionsOf(instance[method]);
        return step ? [{ method, options: step }] : [];
      });
      const definition = defineSaga(options, steps, instance, where);
      this.sagas.add(definition, where);
      this.tasks.add(sagaTask(definition, this.runner.engine), where, (payload, context) =>
        this.runner.run(definition, payload as never, context),
      );
      this.#logger.log(`saga ${definition.name} (version ${definition.version}): ${definition.steps.length} steps`);
    }
  }
}
