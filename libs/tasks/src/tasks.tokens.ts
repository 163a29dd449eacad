import { OptionsError, type SqlClient } from '@yuxi/core';

/** Injection token of the options given to the module. */
export const TASKS_OPTIONS = Symbol.for('@yuxi/tasks:Options');

/** Injection token of the application's `SQL_CLIENT`, or of {@link absentSql} where none is bound. */
export const TASKS_SQL = Symbol.for('@yuxi/tasks:Sql');

const refuse = () =>
  Promise.reject(
    new OptionsError('SQL_CLIENT', 'bound for tasks that are rows of a database', 'missing', 'TasksModule'),
  );

/** Used where no database is bound: each call rejects with the reason. */
export const absentSql: SqlClient = { query: refuse, transaction: refuse };
