import type { Role } from '@yuxi/storage';
import { z } from 'zod';
import type { Grant } from './sessions/sessions.js';
import type { StoredUser } from './user.store.js';

const role = z.enum(['user', 'admin', 'superadmin']) satisfies z.ZodType<Role>;

export const userView = z.object({
  id: z.int(),
  username: z.string(),
  user_id: z.string(),
  phone_number: z.string().nullable(),
  avatar: z.string().nullable(),
  role,
  department_id: z.int().nullable(),
  department_name: z.string().nullable(),
  created_at: z.string().describe('ISO 8601, UTC'),
  last_login: z.string().nullable().describe('ISO 8601, UTC'),
});

export const tokenView = z.object({
  access_token: z.string(),
  token_type: z.literal('bearer'),
  expires_in: z.int().describe('Life of the access token, seconds'),
  refresh_token: z.string().describe('Good for one POST /api/auth/refresh'),
  user_id: z.int().describe('The number of the user'),
  username: z.string(),
  user_id_login: z.string().describe('The login name'),
  phone_number: z.string().nullable(),
  avatar: z.string().nullable(),
  role,
  department_id: z.int().nullable(),
  department_name: z.string().nullable(),
});

export function toUserView(user: StoredUser): z.output<typeof userView> {
  return {
    id: user.id,
    username: user.username,
    user_id: user.userId,
    phone_number: user.phoneNumber,
    avatar: user.avatar,
    role: user.role,
    department_id: user.departmentId,
    department_name: user.departmentName,
    created_at: user.createdAt.toISOString(),
    last_login: user.lastLogin?.toISOString() ?? null,
  };
}

export function toTokenView(grant: Grant, user: StoredUser): z.output<typeof tokenView> {
  return {
    access_token: grant.accessToken,
    token_type: 'bearer',
    expires_in: grant.expiresIn,
    refresh_token: grant.refreshToken,
    user_id: user.id,
    username: user.username,
    user_id_login: user.userId,
    phone_number: user.phoneNumber,
    avatar: user.avatar,
    role: user.role,
    department_id: user.departmentId,
    department_name: user.departmentName,
  };
}
