/** Fields and texts of the legacy API, the Python system that this one replaces. Its clients still read them. */

const TOO_MANY_LOGINS = '登录尝试过于频繁，请稍后再试';

/** The text of a request that a limit refuses. Legacy clients show the one for logins to their users. */
export function refusalText({ code, message }: { code: string; message: string }): string {
  return code === 'TOO_MANY_ATTEMPTS' ? TOO_MANY_LOGINS : message;
}
