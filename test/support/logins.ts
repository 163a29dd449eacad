import type { ApiClient, ApiResponse } from '@yuxi/testing';

export type LoginAnswer = ApiResponse<{ detail: string; code: string }>;

/** Sends `count` wrong logins at once, spread over the replicas. */
export function wrongLogins(
  clients: readonly ApiClient[],
  count: number,
  headers: (index: number) => Record<string, string> = () => ({}),
): Promise<LoginAnswer[]> {
  return Promise.all(
    Array.from({ length: count }, (_, i) =>
      clients[i % clients.length]!.post<LoginAnswer['body']>('/api/auth/token', {
        json: { username: 'test', password: 'wrong' },
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
