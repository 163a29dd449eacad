import { eventually } from '@yuxi/testing';
import type { Fleet } from '../fleet.js';

interface Ready {
  status: string;
  checks: Record<string, string>;
}

/** What `/health/ready` of each replica answers. */
export async function readiness({ apis }: Fleet): Promise<{ status: number; body: Ready }[]> {
  return Promise.all(apis.map((client) => client.get<Ready>('/health/ready')));
}

/** Waits until every replica, still ready, says so of Redis. */
export async function redisIs(fleet: Fleet, state: string, timeout: number): Promise<void> {
  await eventually(
    async () => {
      const states = (await readiness(fleet)).map(({ status, body }) => `${status} ${body.checks['redis']}`);
      if (states.some((each) => each !== `200 ${state}`)) throw new Error(states.join(', '));
    },
    { timeout, every: 25, describe: `every replica to be ready with Redis ${state}` },
  );
}
