/** Injection token of the options given to the module. */
export const TASKS_OPTIONS = Symbol.for('@yuxi/tasks:Options');

/** The application's `SQL_CLIENT`, or one that refuses, in an application whose tasks all live in Redis. */
export const TASKS_SQL = Symbol.for('@yuxi/tasks:Sql');
