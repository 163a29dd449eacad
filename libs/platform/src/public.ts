/** Metadata of routes that need no token; the guard of the API reads it, a worker has no guard. */
export const PUBLIC = 'yuxi:public';
/** Metadata of routes that the general limit of requests does not count: probes, and connections that stay open. */
export const UNLIMITED = 'yuxi:unlimited';
