import { setTimeout as pause } from 'node:timers/promises';
import { describe, expect, it } from '@jest/globals';
import { refreshFleet } from '../support/api/refresh-fleet.js';
import { size } from '../support/size.js';

const MINUTES = 60_000;
const AT_ONCE = 12;

describe('a session that three replicas refresh', () => {
  const { fleet, login, refresh, tokensOf } = refreshFleet();

  it(
    'loses only its response when a replica is killed during a refresh',
    async () => {
      const outcomes: string[] = [];
      for (let round = 0; round < size(5, 40); round++) {
        const before = await login();
        const replica = fleet().replicas[0]!;
        const calls = Array.from({ length: AT_ONCE }, () => refresh(before.refresh_token, 0));
        const refreshing = Promise.allSettled(calls);
        // Some kills happen before the statement, some during it, some after the first response.
        if (round % 2 === 0) await pause((round % 5) * 4);
        else await Promise.any(calls);
        await replica.kill();
        const answered = (await refreshing).flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []));
        const given = answered.filter(({ status }) => status === 200);
        expect(given.length).toBeLessThanOrEqual(1);
        // The database commits or rolls back the statement of the killed replica.
        const again = await refresh(before.refresh_token, 1);
        const { unused } = (await tokensOf(before))!;
        expect(unused).toBe(1);
        outcomes.push(`${answered.length} answered, ${given.length} of them with tokens, then ${again.status}`);
        const tokens = given[0]?.body ?? (again.status === 200 ? again.body : undefined);
        if (tokens) expect((await refresh(tokens.refresh_token, 2)).status).toBe(200);
        else expect(again.status).toBe(409);
        await replica.restart();
      }
      expect(outcomes.filter((outcome) => !outcome.startsWith('0 answered'))).not.toEqual([]);
      console.info(`sessions: killed while refreshing: ${outcomes.join('; ')}`);
    },
    5 * MINUTES,
  );
});
