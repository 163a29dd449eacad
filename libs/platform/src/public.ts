/** Metadata of routes that need no token; the guard of the API reads it, a worker has no guard. */
export const PUBLIC = 'yuxi:public';
