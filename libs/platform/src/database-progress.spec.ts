import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { Log } from '@yuxi/observability';
import { databaseProgress } from './database-progress.js';

const begin = (pretty: boolean, noticesAfter: number[]) => {
  const log = new Log({ pretty });
  const notice = jest.spyOn(log, 'notice').mockImplementation(() => undefined);
  return { notice, made: databaseProgress(log, noticesAfter)('/data/pg') };
};

describe('the creation of the embedded database', () => {
  beforeEach(() => void jest.useFakeTimers());
  afterEach(() => void jest.useRealTimers());

  it('shows one notice at its start and two further ones', () => {
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

  it('shows no further notice after its end', () => {
    const { notice, made } = begin(true, [20]);
    made();
    jest.advanceTimersByTime(60_000);
    expect(notice).toHaveBeenCalledTimes(1);
  });

  it('writes one line in JSON', () => {
    const { notice } = begin(false, [20]);
    jest.advanceTimersByTime(60_000);
    expect(notice.mock.calls).toEqual([[expect.stringContaining('/data/pg'), 'Storage']]);
  });
});
