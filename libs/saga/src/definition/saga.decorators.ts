import { Injectable, type Type } from '@nestjs/common';
import type { z } from 'zod';
import type { SagaOptions, SagaStepOptions } from '../saga.types.js';

const SAGA = Symbol.for('@yuxi/saga:Saga');
const STEP = Symbol.for('@yuxi/saga:SagaStep');

/**
 * Makes a provider the definition of a saga; its methods with {@link SagaStep} are the steps. Names given twice, steps without a
 * word about compensation and methods that are missing fail the boot.
 */
export function Saga<Schema extends z.ZodType>(options: SagaOptions<Schema>): ClassDecorator {
  return (target) => {
    Injectable()(target);
    Reflect.defineMetadata(SAGA, options, target);
  };
}

/** Makes a method a step: `(context: SagaContext)`, what it returns is kept as JSON. */
export function SagaStep(options: SagaStepOptions): MethodDecorator {
  return (_target, _key, descriptor) => {
    Reflect.defineMetadata(STEP, options, descriptor.value as object);
  };
}

/** Options of a class that carries {@link Saga}. */
export function sagaOptionsOf(type: unknown): SagaOptions | undefined {
  return typeof type === 'function' ? (Reflect.getOwnMetadata(SAGA, type) as SagaOptions | undefined) : undefined;
}

/** Options of a method that carries {@link SagaStep}. */
export function stepOptionsOf(method: unknown): SagaStepOptions | undefined {
  return typeof method === 'function' ? (Reflect.getMetadata(STEP, method) as SagaStepOptions | undefined) : undefined;
}

export type SagaClass = Type<object>;
