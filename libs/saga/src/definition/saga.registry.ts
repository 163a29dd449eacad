import { Injectable } from '@nestjs/common';
import { YuxiError } from '@yuxi/core';
import { SagaUnknownError } from '../saga.errors.js';
import { sagaOptionsOf, type SagaClass } from './saga.decorators.js';
import type { SagaDefinition } from './saga.definition.js';

/** The sagas this process knows. */
@Injectable()
export class SagaRegistry {
  readonly #all = new Map<string, SagaDefinition>();

  /** @throws {YuxiError} `SAGA_DUPLICATE` for a name and version given twice */
  add(definition: SagaDefinition, where: string): void {
    const id = idOf(definition);
    if (this.#all.has(id))
      throw new YuxiError(
        `two sagas named ${definition.name} of version ${definition.version}; the second is ${where}`,
        {
          code: 'SAGA_DUPLICATE',
        },
      );
    this.#all.set(id, definition);
  }

  get({ name, version }: { name: string; version: number }): SagaDefinition | undefined {
    return this.#all.get(idOf({ name, version }));
  }

  /** The one that new instances get. @param saga class, or name, of which the highest version counts @throws {SagaUnknownError} */
  current(saga: SagaClass | string): SagaDefinition {
    const options = sagaOptionsOf(saga);
    if (options) return this.get({ name: options.name, version: options.version ?? 1 }) ?? unknown(options.name);
    const name = String(saga);
    const versions = [...this.#all.values()].filter((each) => each.name === name);
    return versions.toSorted((a, b) => b.version - a.version)[0] ?? unknown(name);
  }

  all(): SagaDefinition[] {
    return [...this.#all.values()];
  }
}

const idOf = ({ name, version }: { name: string; version: number }) => `${name}@${version}`;

function unknown(name: string): never {
  throw new SagaUnknownError(name);
}
