/** Injection token of the options given to the module. */
export const TASKS_OPTIONS = Symbol.for('@yuxi/tasks:Options');
