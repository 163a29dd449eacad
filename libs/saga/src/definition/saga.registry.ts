import { Injectable, Logger, type OnModuleInit } from '@nestjs/common';
import { DiscoveryService } from '@nestjs/core';
import { OptionsError, YuxiError } from '@yuxi/core';
import { discoverClasses, methodsOf } from '@yuxi/core/discovery';
import { TaskRegistry } from '@yuxi/tasks';
import { SagaRunner } from '../run/saga.runner.js';
import { sagaTask } from '../run/saga.writer.js';
import { SagaUnknownError } from '../saga.errors.js';
import { type SagaClass, sagaOptionsOf, stepOptionsOf } from './saga.decorators.js';
import { defineSaga, type SagaDefinition } from './saga.definition.js';

/** The definitions of sagas in this process. */
@Injectable()
export class SagaRegistry {
  readonly #all = new Map<string, SagaDefinition>();

  /** @throws {YuxiError} `SAGA_DUPLICATE` for a second definition with the same name and version */
  add(definition: SagaDefinition, where: string): void {
    const id = idOf(definition);
    if (this.#all.has(id))
      throw new YuxiError(
        `two sagas are named ${definition.name} with version ${definition.version}: rename ${where} or raise its version`,
        { code: 'SAGA_DUPLICATE' },
      );
    this.#all.set(id, definition);
  }

  get({ name, version }: { name: string; version: number }): SagaDefinition | undefined {
    return this.#all.get(idOf({ name, version }));
  }

  /**
   * The definition for new instances.
   * @param saga the class, or a name; of a name the highest version counts
   * @throws {SagaUnknownError}
   */
  current(saga: SagaClass | string): SagaDefinition {
    const options = sagaOptionsOf(saga);
    if (options) return this.get({ name: options.name, version: options.version ?? 1 }) ?? unknown(options.name);
    const name = String(saga);
    const versions = [...this.#all.values()].filter((each) => each.name === name);
    return versions.toSorted((a, b) => b.version - a.version)[0] ?? unknown(name);
  }
}

/** At start-up registers every `@Saga` of the application, and a task for each of them. */
@Injectable()
export class SagaExplorer implements OnModuleInit {
  readonly #log = new Logger('Sagas');

  constructor(
    private readonly discovery: DiscoveryService,
    private readonly sagas: SagaRegistry,
    private readonly tasks: TaskRegistry,
    private readonly runner: SagaRunner,
  ) {}

  onModuleInit(): void {
    const seen = new Set<unknown>();
    for (const saga of discoverClasses(this.discovery)) {
      const type: unknown = saga.prototype.constructor;
      const options = sagaOptionsOf(type);
      // A class may be provided in several modules.
      if (!options || seen.has(type)) continue;
      seen.add(type);
      const where = `@Saga on ${saga.name}`;
      if (!saga.isStatic || !saga.instance)
        throw new OptionsError(
          'scope',
          'the default scope, because a saga runs outside of requests',
          'request or transient',
          where,
        );
      const steps = methodsOf(saga, stepOptionsOf).map(({ key, metadata }) => ({ method: key, options: metadata }));
      const definition = defineSaga(options, steps, saga.instance, where);
      this.sagas.add(definition, where);
      this.tasks.add(sagaTask(definition, this.runner.engine), where, (payload, context) =>
        this.runner.run(definition, payload as never, context),
      );
      this.#log.log(`saga ${definition.name} (version ${definition.version}): ${definition.steps.length} steps`);
    }
  }
}

const idOf = ({ name, version }: { name: string; version: number }) => `${name}@${version}`;

function unknown(name: string): never {
  throw new SagaUnknownError(name);
}
