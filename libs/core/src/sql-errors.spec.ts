import { describe, expect, it } from '@jest/globals';
import { YuxiError } from './errors.js';
import {
  isAccessRefused,
  isConnectionError,
  isDatabaseFailure,
  isRefusedData,
  isStatementRefused,
  isStorageFull,
  isTransientSqlError,
  sqlFault,
  violatedConstraint,
} from './sql-errors.js';

const withCode = (code: string, message = 'no') => Object.assign(new Error(message), { code });
const wrapped = (cause: Error) => new YuxiError('above', { code: 'ABOVE', cause });

describe('errors of a database', () => {
  it.each([
    ['23505', { transient: false, refused: true, data: true, connection: false }],
    ['22021', { transient: false, refused: true, data: true, connection: false }],
    ['22P02', { transient: false, refused: true, data: true, connection: false }],
    ['XX000', { transient: false, refused: true, data: false, connection: false }],
    ['58030', { transient: true, refused: false, data: false, connection: false }],
    ['42P01', { transient: false, refused: true, data: false, connection: false }],
    ['40P01', { transient: true, refused: false, data: false, connection: false }],
    ['53100', { transient: true, refused: false, data: false, connection: false }],
    ['57P01', { transient: true, refused: false, data: false, connection: true }],
    ['08006', { transient: true, refused: false, data: false, connection: true }],
    ['EPIPE', { transient: false, refused: false, data: false, connection: true }],
    ['ECONNREFUSED', { transient: false, refused: false, data: false, connection: true }],
  ])('with the code %s are classified, also when they are wrapped', (code, expected) => {
    for (const error of [withCode(code), wrapped(withCode(code))])
      expect({
        transient: isTransientSqlError(error),
        refused: isStatementRefused(error),
        data: isRefusedData(error),
        connection: isConnectionError(error),
      }).toEqual(expected);
  });

  it('are found among causes, and no code of the operating system is taken for a SQLSTATE', () => {
    const fault = withCode('23505');
    expect(sqlFault(wrapped(fault))).toBe(fault);
    expect(sqlFault(withCode('EPIPE'))).toBeUndefined();
    expect(sqlFault('23505')).toBeUndefined();
  });

  it('name the constraint that a statement violates', () => {
    const constraint = 'users_user_id_key';
    expect(violatedConstraint(wrapped(Object.assign(withCode('23505'), { constraint })))).toBe(constraint);
    expect(violatedConstraint(Object.assign(withCode('42P01'), { constraint }))).toBeUndefined();
  });

  it('of the database, its driver and the connection are distinguished from mistakes in the program', () => {
    expect(['40P01', 'ECONNRESET'].map((code) => isDatabaseFailure(withCode(code)))).toEqual([true, true]);
    expect(isDatabaseFailure(new YuxiError('no', { code: 'DATABASE_BUSY' }))).toBe(true);
    expect(isDatabaseFailure(new YuxiError('no', { code: 'LOCK_BUSY' }))).toBe(false);
    expect(isDatabaseFailure(new TypeError('no'))).toBe(false);
  });

  it.each([
    ['28P01', true],
    ['3D000', true],
    ['42501', true],
    ['42P01', false],
    ['57P03', false],
  ])('with the code %s: is access refused? %s', (code, refused) => {
    expect(isAccessRefused(wrapped(withCode(code)))).toBe(refused);
  });

  it('of a connection are recognized by the message of the driver, and inside an AggregateError', () => {
    expect(isConnectionError(new Error('Connection terminated unexpectedly'))).toBe(true);
    expect(isConnectionError(new AggregateError([withCode('ECONNREFUSED')]))).toBe(true);
    expect(isConnectionError(new Error('SELECT nonsense'))).toBe(false);
  });

  it.each([
    ['53100', 'ERROR', true],
    ['53100', 'PANIC', false],
    ['ENOSPC', undefined, true],
    ['STORAGE_FULL', undefined, true],
    ['23505', 'ERROR', false],
  ])('with the code %s and the severity %s: is the storage full? %s', (code, severity, full) => {
    expect(isStorageFull(wrapped(Object.assign(withCode(code), { severity })))).toBe(full);
  });
});
