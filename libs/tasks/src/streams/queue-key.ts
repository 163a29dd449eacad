import { companionKey, encodeName } from '@yuxi/redis';

/** Names of all queues that ever had a task. */
export const QUEUES_KEY = 'yuxi:queues';

/** The hash of a queue; its other keys begin with it and share its Cluster slot. */
export function queueKey(queue: string): string {
  return companionKey('q', encodeName(queue));
}
