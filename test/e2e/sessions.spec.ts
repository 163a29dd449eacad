import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type ApiResponse, eventually, FIRST_ADMINISTRATOR } from '@yuxi/testing';
import type { TokenAnswer as Tokens } from '../support/api/accounts.js';
import { type Fleet, startFleet } from '../support/fleet.js';
import { HERE } from '../support/api/logins.js';
import { tally } from '../support/api/logins.js';
import { size } from '../support/size.js';

const MINUTES = 60_000;
const AT_ONCE = 12;

const sessionOf = ({ access_token }: Tokens) =>
  (JSON.parse(Buffer.from(access_token.split('.')[1]!, 'base64url').toString()) as { sid: string }).sid;

describe('a session that three replicas refresh', () => {
  let fleet: Fleet;
  beforeAll(async () => {
    fleet = await startFleet({ env: () => ({ TRUSTED_PROXIES: HERE }) });
  }, MINUTES);
  afterAll(() => fleet?.stop(), MINUTES);

  const login = async (): Promise<Tokens> => {
    const { user_id: username, password } = FIRST_ADMINISTRATOR;
    const { status, body } = await fleet.apis[0]!.post<Tokens>('/api/auth/token', { json: { username, password } });
    expect(status).toBe(200);
    return body;
  };
  let clients = 0;
  /** Each from an address of its own: one address may not refresh so often. */
  const refresh = (refresh_token: string, index: number): Promise<ApiResponse<Tokens>> => {
    const n = ++clients;
    const headers = { 'x-forwarded-for': `10.${n >> 16}.${(n >> 8) & 255}.${n & 255}` };
    return fleet.apis[index % 3]!.post<Tokens>('/api/auth/refresh', { json: { refresh_token }, headers });
  };
  const statuses = (token: string) =>
    Promise.all(fleet.apis.map(async (client) => (await client.get('/api/auth/me', { token })).status));
  const tokensOf = async (tokens: Tokens) => {
    const [row] = await fleet.sql<{ given: number; unused: number }>(
      `SELECT count(*)::int AS given, count(*) FILTER (WHERE used_at IS NULL)::int AS unused
       FROM refresh_tokens WHERE session_id = $1`,
      [sessionOf(tokens)],
    );
    return row;
  };

  it(
    'gives each token to one caller, however many have it',
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

  it('ends on every replica when one of them sees an old token again', async () => {
    const first = await login();
    const second = (await refresh(first.refresh_token, 1)).body;
    await fleet.sql(`UPDATE refresh_tokens SET used_at = used_at - interval '11 s' WHERE session_id = $1`, [
      sessionOf(first),
    ]);
    const answers = await Promise.all(Array.from({ length: AT_ONCE }, (_, i) => refresh(first.refresh_token, i)));
    expect(tally(answers)).toEqual({ 401: AT_ONCE });
    expect(await statuses(second.access_token)).toEqual([401, 401, 401]);
    expect((await refresh(second.refresh_token, 2)).status).toBe(401);
    const told = () =>
      fleet.sql(`SELECT FROM audit_events WHERE action = 'refresh.reuse' AND details->>'session' = $1`, [
        sessionOf(first),
      ]);
    await eventually(async () => (await told()).length > 0, { describe: 'the audit log to tell of it' });
    // One alarm, though many asked.
    expect(await told()).toHaveLength(1);
  });

  it(
    'loses nothing but its answer with a replica that is killed while it refreshes',
    async () => {
      const outcomes: string[] = [];
      for (let round = 0; round < size(5, 40); round++) {
        const before = await login();
        const replica = fleet.replicas[0]!;
        const refreshing = Promise.allSettled(Array.from({ length: AT_ONCE }, () => refresh(before.refresh_token, 0)));
        // Some kills fall before the statement, some into it, some after.
        await pause((round % 5) * 4);
        await replica.kill();
        const answered = (await refreshing).flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []));
        const given = answered.filter(({ status }) => status === 200);
        expect(given.length).toBeLessThanOrEqual(1);
        // The statement of the dead replica ends in the database, one way or the other.
        const again = await refresh(before.refresh_token, 1);
        const { unused } = (await tokensOf(before))!;
        expect(unused).toBe(1);
        outcomes.push(`${answered.length} answered, ${given.length} of them with tokens, then ${again.status}`);
        const tokens = given[0]?.body ?? (again.status === 200 ? again.body : undefined);
        if (tokens) expect((await refresh(tokens.refresh_token, 2)).status).toBe(200);
        else expect(again.status).toBe(409);
        await replica.restart();
      }
      console.info(`sessions: killed while refreshing: ${outcomes.join('; ')}`);
    },
    5 * MINUTES,
  );
});
