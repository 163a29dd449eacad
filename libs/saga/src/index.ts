export { Saga, SagaStep } from './definition/saga.decorators.js';
export type { SagaClass } from './definition/saga.decorators.js';
export * from './migrations/index.js';
export * from './run/saga.hooks.js';
export * from './saga.errors.js';
export * from './saga.module.js';
export type { SagaModuleOptions } from './saga.options.js';
export * from './saga.service.js';
export * from './saga.types.js';
