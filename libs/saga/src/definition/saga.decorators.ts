import { Injectable, type Type } from '@nestjs/common';
import type { z } from 'zod';
import type { SagaOptions, SagaStepOptions } from '../saga.types.js';

const SAGA = Symbol.for('@yuxi/saga:Saga');
const STEP = Symbol.for('@yuxi/saga:SagaStep');

/**
 * Makes a provider the definition of a saga. Its methods with {@link SagaStep} are the steps.
 * The application does not start with duplicate names, steps without `compensate`, or missing methods.
 */
export function Saga<Schema extends z.ZodType>(options: SagaOptions<Schema>): ClassDecorator {
  return (target) => {
    Injectable()(target);
    Reflect.defineMetadata(SAGA, options, target);
  };
}

/** Makes a method a step. It gets a `SagaContext`, and its result is stored as JSON. */
export function SagaStep(options: SagaStepOptions): MethodDecorator {
  return (_target, _key, descriptor) => {
    Reflect.defineMetadata(STEP, options, descriptor.value as object);
  };
}

/** Options of a class with {@link Saga}. */
export function sagaOptionsOf(type: unknown): SagaOptions | undefined {
  return typeof type === 'function' ? (Reflect.getOwnMetadata(SAGA, type) as SagaOptions | undefined) : undefined;
}

/** Options of a method with {@link SagaStep}. */
export function stepOptionsOf(method: unknown): SagaStepOptions | undefined {
  return typeof method === 'function' ? (Reflect.getMetadata(STEP, method) as SagaStepOptions | undefined) : undefined;
}

export type SagaClass = Type<object>;
