import { defineScript } from '@yuxi/redis';

const SHARED = new URL('./lua/queue.lua', import.meta.url);
const script = (name: string) =>
  defineScript(`tasks.${name}`, [SHARED, new URL(`./lua/${name}.lua`, import.meta.url)], 1);

export const ADD = script('add');
export const JOIN = script('join');
export const LEAVE = script('leave');
export const STEP = script('step');
export const BEAT = script('beat');
export const LOOK = script('look');
export const PAUSE = script('pause');
export const DRAIN = script('drain');
export const CANCEL = script('cancel');
export const REVIVE = script('revive');
