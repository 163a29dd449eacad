export { Saga, type SagaClass, SagaStep } from './definition/saga.decorators.js';
export * from './migrations/index.js';
export { NO_HOOKS, SAGA_HOOKS, SAGA_POINTS, type SagaHooks, type SagaPoint } from './run/saga.runner.js';
export * from './saga.errors.js';
export * from './saga.module.js';
export type { SagaModuleOptions } from './saga.options.js';
export * from './saga.service.js';
export * from './saga.types.js';
