/** The text that clients of the legacy API show when there were too many login attempts. */
const TOO_MANY_ATTEMPTS = '登录尝试过于频繁，请稍后再试';

/** The text of a refusal by a limit, as clients of the legacy API expect it. */
export function refusalDetail({ code, message }: { code: string; message: string }): string {
  return code === 'TOO_MANY_ATTEMPTS' ? TOO_MANY_ATTEMPTS : message;
}
