/** Fields and texts of the legacy API, the Python system that this one replaces. Its clients still read them. */

/** Name of the department that the first administrator gets. */
export const FIRST_DEPARTMENT = '默认部门';

/** `message` of `GET /api/system/health`. */
export const HEALTHY = '服务正常运行';

const TOO_MANY_LOGINS = '登录尝试过于频繁，请稍后再试';
const CONNECTED = '已连接';

/** The text of a request that a limit refuses. Legacy clients show the one for logins to their users. */
export function refusalText({ code, message }: { code: string; message: string }): string {
  return code === 'TOO_MANY_ATTEMPTS' ? TOO_MANY_LOGINS : message;
}

/** Adds the connection status that the legacy API had for each knowledge base. */
export function withStatus<T extends object>(database: T): T & { status: string } {
  return { ...database, status: CONNECTED };
}

/** Adds the names by which the legacy API found an upload in its object store. */
export function withObjectNames<T extends { file_path: string }>(upload: T) {
  const { file_path: name } = upload;
  return { ...upload, minio_path: name, object_name: name, bucket_name: 'knowledge' };
}
