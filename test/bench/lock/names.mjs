export const OURS = '@yuxi/lock';

export const say = (text) => console.error(`[lock] ${text}`);
