import type { ApiClient, ApiResponse } from '@yuxi/testing';

export interface WrongLogins {
  headers?: (index: number) => Record<string, string>;
  /** Default `test`, a name without an account. */
  username?: string;
}

export type LoginAnswer = ApiResponse<{ detail: string; code: string }>;

/** The client address of the test. */
export const HERE = '127.0.0.1';

/**
 * Resets the login limits of the test's client address on all replicas.
 * @param token of a superadmin
 */
export async function forgiveHere(client: ApiClient, token: string): Promise<void> {
  for (const policy of ['login.address', 'login.strict']) {
    const { status } = await client.del(`/api/system/limits/${policy}/${HERE}`, { token });
    if (status !== 200) throw new Error(`resetting ${policy} answered ${status}`);
  }
}

/** Sends `count` wrong logins at once, spread over the replicas. */
export function wrongLogins(
  clients: readonly ApiClient[],
  count: number,
  { headers = () => ({}), username = 'test' }: WrongLogins = {},
): Promise<LoginAnswer[]> {
  return Promise.all(
    Array.from({ length: count }, (_, i) =>
      clients[i % clients.length]!.post<LoginAnswer['body']>('/api/auth/token', {
        json: { username, password: 'wrong' },
        headers: headers(i),
      }),
    ),
  );
}

/** Number of answers by status. */
export function tally(answers: readonly { status: number }[]): Record<number, number> {
  const counts: Record<number, number> = {};
  for (const { status } of answers) counts[status] = (counts[status] ?? 0) + 1;
  return counts;
}

/** Number of guesses at one account that are allowed within `ms`: ten at once, then one after 1 s, 2 s, 4 s ... more. */
export const guessesWithin = (ms: number): number => 10 + Math.floor(Math.log2(1 + ms / 1000));
