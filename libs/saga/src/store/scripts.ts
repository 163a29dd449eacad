import { defineScript } from '@yuxi/redis';
import { ENQUEUE_LUA } from '@yuxi/tasks';

const lua = (name: string) => new URL(`./lua/${name}.lua`, import.meta.url);
const script = (name: string) => defineScript(`saga.${name}`, [...ENQUEUE_LUA, lua('sagas'), lua(name)], 1);

export const START = script('start');
export const ADVANCE = script('advance');
export const REQUEST_CANCEL = script('wish');
export const READ = script('read');
export const CANCELLED = script('cancelled');
export const SWEEP = script('sweep');
