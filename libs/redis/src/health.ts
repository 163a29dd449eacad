import type { RedisAvailability } from './availability.js';

/** For a health endpoint. Redis away is `degraded`, never `down`: every service has a fallback. Absent by choice is `up`. */
export function redisHealth(availability: RedisAvailability): { status: 'up' | 'degraded'; state: string } {
  const { state, reason } = availability;
  if (state === 'down') return { status: 'degraded', state: reason ?? 'down' };
  return { status: 'up', state: state === 'absent' ? 'absent' : 'connected' };
}
