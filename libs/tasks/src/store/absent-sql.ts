import { OptionsError, type SqlClient } from '@yuxi/core';

const refuse = () =>
  Promise.reject(
    new OptionsError('SQL_CLIENT', 'bound for tasks that are rows of a database', 'missing', 'TasksModule'),
  );

/** Stands in where no database is bound: whatever needs one says so. */
export const absentSql: SqlClient = { query: refuse, transaction: refuse };
