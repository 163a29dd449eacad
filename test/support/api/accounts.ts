import type { ApiClient } from '@yuxi/testing';

export const USER_PASSWORD = 'a password of a user';

export interface TokenAnswer {
  access_token: string;
  refresh_token: string;
}

/** A user that a test has created, with the tokens of a login. */
export interface Account extends TokenAnswer {
  id: number;
}

interface AccountOptions {
  password?: string;
  role?: string;
  /** Default: the department of the administrator. */
  department_id?: number;
}

/**
 * Creates a user as the administrator, and logs in as this user.
 * @throws Error when one of the two requests is refused
 */
export async function addAccount(
  client: ApiClient,
  admin: string,
  name: string,
  { password = USER_PASSWORD, role = 'user', department_id }: AccountOptions = {},
): Promise<Account> {
  const json = { user_id: name, username: name, password, role, department_id };
  const created = await client.post<{ id: number }>('/api/auth/users', { json, token: admin });
  if (created.status !== 201) throw new Error(`creating ${name} answered ${created.status}`);
  const login = await client.post<TokenAnswer>('/api/auth/token', { form: { username: name, password } });
  if (login.status !== 200) throw new Error(`login of ${name} answered ${login.status}`);
  return { ...login.body, id: created.body.id };
}
