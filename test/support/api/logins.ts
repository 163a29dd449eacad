import type { ApiClient, ApiResponse } from '@yuxi/testing';

export interface WrongLogins {
  headers?: (index: number) => Record<string, string>;
  /** Default `test`, whom nobody is. */
  username?: string;
}

export type LoginAnswer = ApiResponse<{ detail: string; code: string }>;

/** Where the calls of a test come from. */
export const HERE = '127.0.0.1';

/**
 * Lets callers from here log in as if nobody had tried before, on all replicas.
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

/** How often each status was answered. */
export function tally(answers: readonly { status: number }[]): Record<number, number> {
  const counts: Record<number, number> = {};
  for (const { status } of answers) counts[status] = (counts[status] ?? 0) + 1;
  return counts;
}

/** How many guesses at one account may pass in so many milliseconds: ten at once, the next ones after 1 s, 2 s more, 4 s more, ... */
export const guessesWithin = (ms: number): number => 10 + Math.floor(Math.log2(1 + ms / 1000));
