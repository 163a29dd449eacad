import { eventually } from '@yuxi/testing';
import type { Fleet } from '../fleet.js';

/** A report of @nestjs/terminus. */
export interface Ready {
  status: 'ok' | 'degraded' | 'error' | 'shutting_down';
  details: Record<string, { status: string; state?: string }>;
}

/** What `/health/ready` of each replica answers. */
export async function readiness({ apis }: Fleet): Promise<{ status: number; body: Ready }[]> {
  return Promise.all(apis.map((client) => client.get<Ready>('/health/ready')));
}

/** Waits until every replica reports this state of Redis and is still ready. */
export async function redisIs(fleet: Fleet, state: string, timeout: number): Promise<void> {
  await eventually(
    async () => {
      const states = (await readiness(fleet)).map(({ status, body }) => `${status} ${body.details['redis']?.status}`);
      if (states.some((each) => each !== `200 ${state}`)) throw new Error(states.join(', '));
    },
    { timeout, every: 25, describe: `every replica to be ready with Redis ${state}` },
  );
}
