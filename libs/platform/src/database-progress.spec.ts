import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { Log } from '@yuxi/observability';
import { databaseProgress } from './database-progress.js';

const begin = (pretty: boolean, signsOfLife: number[]) => {
  const log = new Log({ pretty });
  const notice = jest.spyOn(log, 'notice').mockImplementation(() => undefined);
  return { notice, made: databaseProgress(log, signsOfLife)('/data/pg') };
};

describe('the making of the embedded database', () => {
  beforeEach(() => void jest.useFakeTimers());
  afterEach(() => void jest.useRealTimers());

  it('is announced, and shows twice that it goes on', () => {
    const { notice, made } = begin(true, [50, 100]);
    jest.advanceTimersByTime(100);
    expect(notice).toHaveBeenCalledTimes(3);
    made();
    expect(notice.mock.calls.map(([text]) => text)).toEqual([
      expect.stringMatching(/^Making the embedded database in \/data\/pg\./),
      'Still making the embedded database (0.05 s)',
      'Still making the embedded database (0.1 s)',
    ]);
  });

  it('says nothing more once the database is made', () => {
    const { notice, made } = begin(true, [20]);
    made();
    jest.advanceTimersByTime(60_000);
    expect(notice).toHaveBeenCalledTimes(1);
  });

  it('is one line for programs', () => {
    const { notice } = begin(false, [20]);
    jest.advanceTimersByTime(60_000);
    expect(notice.mock.calls).toEqual([[expect.stringContaining('/data/pg'), 'Storage']]);
  });
});
