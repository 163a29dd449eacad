import { describe, expect, it, jest } from '@jest/globals';
import { Log } from '@yuxi/observability';
import { eventually } from '@yuxi/testing';
import { databaseProgress } from './database-progress.js';

const begin = (pretty: boolean, signsOfLife: number[]) => {
  const log = new Log({ pretty });
  const notice = jest.spyOn(log, 'notice').mockImplementation(() => undefined);
  return { notice, made: databaseProgress(log, signsOfLife)('/data/pg') };
};

describe('the making of the embedded database', () => {
  it('is announced, and shows twice that it goes on', async () => {
    const { notice, made } = begin(true, [50, 100]);
    await eventually(() => expect(notice).toHaveBeenCalledTimes(3));
    made();
    expect(notice.mock.calls.map(([text]) => text)).toEqual([
      expect.stringMatching(/^Making the embedded database in \/data\/pg\./),
      'Still making the embedded database (0.05 s)',
      'Still making the embedded database (0.1 s)',
    ]);
  });

  it('says nothing more once the database is made', async () => {
    const { notice, made } = begin(true, [20]);
    made();
    await new Promise((resolve) => setTimeout(resolve, 40));
    expect(notice).toHaveBeenCalledTimes(1);
  });

  it('is one line for programs', async () => {
    const { notice } = begin(false, [20]);
    await new Promise((resolve) => setTimeout(resolve, 40));
    expect(notice.mock.calls).toEqual([[expect.stringContaining('/data/pg'), 'Storage']]);
  });
});
