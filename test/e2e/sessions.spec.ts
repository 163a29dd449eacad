import { describe, expect, it } from '@jest/globals';
import { eventually } from '@yuxi/testing';
import { tally } from '../support/api/logins.js';
import { refreshFleet, sessionOf } from '../support/api/refresh-fleet.js';
import { size } from '../support/size.js';

const MINUTES = 60_000;
const AT_ONCE = 12;

describe('a session that three replicas refresh', () => {
  const { fleet, login, refresh, tokensOf } = refreshFleet();
  const statuses = (token: string) =>
    Promise.all(fleet().apis.map(async (client) => (await client.get('/api/auth/me', { token })).status));

  it(
    'accepts each refresh token once, however many clients send it',
    async () => {
      let tokens = await login();
      const rounds = size(10, 300);
      for (let round = 0; round < rounds; round++) {
        const answers = await Promise.all(Array.from({ length: AT_ONCE }, (_, i) => refresh(tokens.refresh_token, i)));
        expect(tally(answers)).toEqual({ 200: 1, 409: AT_ONCE - 1 });
        tokens = answers.find(({ status }) => status === 200)!.body;
      }
      expect(await tokensOf(tokens)).toEqual({ given: rounds + 1, unused: 1 });
      expect(await statuses(tokens.access_token)).toEqual([200, 200, 200]);
    },
    5 * MINUTES,
  );

  it('ends on every replica when one of them receives an old refresh token', async () => {
    const first = await login();
    const second = (await refresh(first.refresh_token, 1)).body;
    await fleet().sql(`UPDATE refresh_tokens SET used_at = used_at - interval '11 s' WHERE session_id = $1`, [
      sessionOf(first),
    ]);
    const answers = await Promise.all(Array.from({ length: AT_ONCE }, (_, i) => refresh(first.refresh_token, i)));
    expect(tally(answers)).toEqual({ 401: AT_ONCE });
    expect(await statuses(second.access_token)).toEqual([401, 401, 401]);
    expect((await refresh(second.refresh_token, 2)).status).toBe(401);
    const alarms = () =>
      fleet().sql(`SELECT FROM audit_events WHERE action = 'refresh.reuse' AND details->>'session' = $1`, [
        sessionOf(first),
      ]);
    await eventually(async () => (await alarms()).length > 0, { describe: 'the reuse to be in the audit log' });
    // One alarm for many requests.
    expect(await alarms()).toHaveLength(1);
  });
});
