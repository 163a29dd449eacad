export interface RedisUrl {
  host: string;
  port: number;
  username?: string;
  password?: string;
  db?: number;
  tls: boolean;
}

const problem = (rule: string) => ({ problem: rule });

/** Reads `redis[s]://[user:password@]host[:port][/db]`. A problem never repeats the text, which may hold a password. */
export function parseRedisUrl(text: string): RedisUrl | { problem: string } {
  if (!/^rediss?:\/\//i.test(text)) return problem('a URL that starts with redis:// or rediss://');
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    return problem('a URL like redis://user:password@host:6379/0 with a port 1..65535 (percent-encode the password)');
  }
  const port = url.port === '' ? 6379 : Number(url.port);
  if (port < 1) return problem('a URL with a port 1..65535');
  if (url.hostname === '') return problem('a URL that names a host');
  if (url.search || url.hash) return problem('a URL without ? and # (percent-encode them in a password)');
  const path = url.pathname.replace(/^\//, '');
  if (!/^\d{0,5}$/.test(path)) return problem('a URL whose path is a database number, like /0');
  try {
    return {
      host: url.hostname.replace(/^\[(.*)\]$/, '$1'),
      port,
      username: decodeURIComponent(url.username) || undefined,
      password: decodeURIComponent(url.password) || undefined,
      db: path === '' ? undefined : Number(path),
      tls: url.protocol === 'rediss:',
    };
  } catch {
    return problem('a URL whose user and password are percent-encoded');
  }
}
