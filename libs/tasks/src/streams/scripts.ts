import { companionKey, defineScript, encodeName } from '@yuxi/redis';

/** Set with the names of all queues that ever had a task. */
export const QUEUES_KEY = 'yuxi:queues';

/** Key of the hash of a queue. Its other keys begin with it and share its Cluster slot. */
export function queueKey(queue: string): string {
  return companionKey('q', encodeName(queue));
}

const lua = (name: string) => new URL(`./lua/${name}.lua`, import.meta.url);
const script = (name: string, ...parts: URL[]) => defineScript(`tasks.${name}`, [lua('queue'), ...parts, lua(name)], 1);

/**
 * First files of a script outside this package that enqueues tasks together with its own changes.
 * They define `enqueue(how, envelope)` and `wakeForNew()`, see `enqueue.lua`.
 */
export const ENQUEUE_LUA: readonly URL[] = [lua('queue'), lua('enqueue')];

export const ADD = script('add', lua('enqueue'));
export const JOIN = script('join');
export const LEAVE = script('leave');
export const STEP = script('step');
export const BEAT = script('beat');
export const LOOK = script('look');
export const PAUSE = script('pause');
export const DRAIN = script('drain');
export const CANCEL = script('cancel');
export const PROMOTE = script('promote');
export const REVIVE = script('revive');
