import { defineScript } from '@yuxi/redis';

const lua = (name: string) => new URL(`./lua/${name}.lua`, import.meta.url);
const script = (name: string, ...parts: URL[]) => defineScript(`tasks.${name}`, [lua('queue'), ...parts, lua(name)], 1);

/** What a script of somebody else begins with that enqueues tasks together with what else it changes; see enqueue.lua. */
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
export const HASTEN = script('hasten');
export const REVIVE = script('revive');
