import { afterAll, beforeAll, expect } from '@jest/globals';
import { type ApiResponse, FIRST_ADMINISTRATOR } from '@yuxi/testing';
import { type Fleet, startFleet } from '../fleet.js';
import type { TokenAnswer as Tokens } from './accounts.js';
import { HERE } from './logins.js';

const MINUTES = 60_000;

export const sessionOf = ({ access_token }: Tokens) =>
  (JSON.parse(Buffer.from(access_token.split('.')[1]!, 'base64url').toString()) as { sid: string }).sid;

/** Three replicas for the tests of one `describe`, and what clients with refresh tokens do to them. */
export function refreshFleet() {
  let fleet: Fleet;
  let clients = 0;
  beforeAll(async () => {
    fleet = await startFleet({ env: () => ({ TRUSTED_PROXIES: HERE }) });
  }, MINUTES);
  afterAll(() => fleet?.stop(), MINUTES);

  return {
    fleet: () => fleet,
    login: async (): Promise<Tokens> => {
      const { user_id: username, password } = FIRST_ADMINISTRATOR;
      const { status, body } = await fleet.apis[0]!.post<Tokens>('/api/auth/token', { json: { username, password } });
      expect(status).toBe(200);
      return body;
    },
    /** Each from an address of its own: one address may not refresh so often. */
    refresh: (refresh_token: string, index: number): Promise<ApiResponse<Tokens>> => {
      const n = ++clients;
      const headers = { 'x-forwarded-for': `10.${n >> 16}.${(n >> 8) & 255}.${n & 255}` };
      return fleet.apis[index % 3]!.post<Tokens>('/api/auth/refresh', { json: { refresh_token }, headers });
    },
    tokensOf: async (tokens: Tokens) => {
      const [row] = await fleet.sql<{ given: number; unused: number }>(
        `SELECT count(*)::int AS given, count(*) FILTER (WHERE used_at IS NULL)::int AS unused
         FROM refresh_tokens WHERE session_id = $1`,
        [sessionOf(tokens)],
      );
      return row;
    },
  };
}
