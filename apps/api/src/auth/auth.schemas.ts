import type { KeyScope, Role } from '@yuxi/storage';
import { z } from 'zod';
import { futureInstant, line, pageQuery, queryInt } from '../http/index.js';
import type { StoredApiKey } from './api-keys.js';
import { isLongEnough, isShortEnough, MAX_BYTES, MIN_LENGTH } from './password-rules.js';
import type { Grant } from './sessions.js';
import type { StoredUser } from './user.store.js';

const TOO_SHORT = `must have at least ${MIN_LENGTH} characters`;
const TOO_LONG = `must have at most ${MAX_BYTES} bytes`;
const INSTANT = 'ISO 8601, UTC';

const userId = z.string().regex(/^[A-Za-z0-9_]{3,20}$/, 'must be 3 to 20 letters, digits or underscores');
const phoneNumber = z.string().regex(/^\+?\d{5,20}$/, 'must be 5 to 20 digits, with an optional + in front');
/** A password that is compared with the stored one. Long ones are refused before anything is hashed. */
const givenPassword = z.string().min(1).refine(isShortEnough, TOO_LONG);
/** Only the length is checked here; `checkPassword` refuses common passwords. */
const newPassword = z.string().refine(isLongEnough, TOO_SHORT).refine(isShortEnough, TOO_LONG);
const username = line(64);
const role = z.enum(['user', 'admin', 'superadmin']) satisfies z.ZodType<Role>;
/** Initialize creates the only superadmin, so that role cannot be assigned. */
const assignableRole = role.exclude(['superadmin']);
const departmentId = z
  .int()
  .min(1)
  .max(2 ** 31 - 1);

// Bodies of requests

export const initializeBody = z.strictObject({
  user_id: userId,
  password: newPassword,
  phone_number: phoneNumber.nullish(),
  setup_token: z.string().max(1024).optional().describe('Value of YUXI_SETUP_TOKEN, where the operator has set it'),
});
export type InitializeBody = z.output<typeof initializeBody>;

/** JSON, or the form of an OAuth2 password grant, whose other fields are accepted and ignored. */
export const tokenBody = z.strictObject({
  username: z.string().min(1).max(255).describe('Login name or phone number'),
  password: givenPassword,
  grant_type: z.enum(['password', '']).optional(),
  scope: z.string().max(1024).optional(),
  client_id: z.string().max(255).optional(),
  client_secret: z.string().max(255).optional(),
});
export type TokenBody = z.output<typeof tokenBody>;

export const changePasswordBody = z.strictObject({
  current_password: givenPassword,
  new_password: newPassword,
  revoke_keys: z.boolean().default(false).describe('Also revoke all API keys of the user'),
});
export type ChangePasswordBody = z.output<typeof changePasswordBody>;

export const refreshBody = z.strictObject({ refresh_token: z.string().min(1).max(1024) });
export type RefreshBody = z.output<typeof refreshBody>;

/** The body may be absent. */
export const logoutBody = z
  .strictObject({ everywhere: z.boolean().default(false).describe('End all sessions of the user') })
  .default({ everywhere: false });
export type LogoutBody = z.output<typeof logoutBody>;

const hasField = (body: object) => Object.values(body).some((value) => value !== undefined);
const NO_FIELD = 'must have at least one field to change';

export const profileBody = z
  .strictObject({ username: username.optional(), phone_number: phoneNumber.nullish() })
  .refine(hasField, NO_FIELD);
export type ProfileBody = z.output<typeof profileBody>;

export const createUserBody = z.strictObject({
  user_id: userId.optional().describe('Login name. Default: the user name if it is a valid login name, else generated'),
  username,
  password: newPassword,
  role: assignableRole.default('user'),
  phone_number: phoneNumber.nullish(),
  department_id: departmentId.nullish().describe("Default: the caller's department"),
});
export type CreateUserBody = z.output<typeof createUserBody>;

export const updateUserBody = z
  .strictObject({
    username: username.optional(),
    password: newPassword.optional(),
    role: assignableRole.optional(),
    phone_number: phoneNumber.nullish(),
    department_id: departmentId.optional(),
  })
  .refine(hasField, NO_FIELD);
export type UpdateUserBody = z.output<typeof updateUserBody>;

export const usersQuery = pageQuery.extend({ limit: queryInt(1, 100).default(100) });

const scope = z.enum(['read', 'write']) satisfies z.ZodType<KeyScope>;

export const createKeyBody = z.strictObject({
  name: line(64),
  scopes: z
    .array(scope)
    .min(1)
    .refine((given) => new Set(given).size === given.length, 'must name each scope once')
    .describe('read: read and search. write: change what the user may change'),
  expires_at: futureInstant.nullish().describe('Default: the key does not expire'),
});
export type CreateKeyBody = z.output<typeof createKeyBody>;

export function isUserId(text: string): boolean {
  return userId.safeParse(text).success;
}

// Responses

export const userView = z.object({
  id: z.int(),
  username: z.string(),
  user_id: z.string().describe('Login name'),
  phone_number: z.string().nullable(),
  avatar: z.string().nullable(),
  role,
  department_id: z.int().nullable(),
  department_name: z.string().nullable(),
  created_at: z.string().describe(INSTANT),
  last_login: z.string().nullable().describe(INSTANT),
});

export const tokenView = z.object({
  access_token: z.string(),
  token_type: z.literal('bearer'),
  expires_in: z.int().describe('Lifetime of the access token, seconds'),
  refresh_token: z.string().describe('Valid for one POST /api/auth/refresh'),
  user_id: z.int().describe('Id of the user'),
  username: z.string(),
  user_id_login: z.string().describe('Login name'),
  phone_number: z.string().nullable(),
  avatar: z.string().nullable(),
  role,
  department_id: z.int().nullable(),
  department_name: z.string().nullable(),
});

export const keyView = z.object({
  id: z.int(),
  name: z.string(),
  hint: z.string().describe('First characters of the key'),
  scopes: z.array(scope),
  created_at: z.string().describe(INSTANT),
  expires_at: z.string().nullable().describe(INSTANT),
  last_used: z.string().nullable().describe(`${INSTANT}; exact to the minute`),
});
export const newKeyView = keyView.extend({ key: z.string().describe('The key itself. It is not shown again') });

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

export function toKeyView({ id, name, hint, scopes, ...key }: StoredApiKey): z.output<typeof keyView> {
  return {
    id,
    name,
    hint,
    scopes,
    created_at: key.createdAt.toISOString(),
    expires_at: key.expiresAt?.toISOString() ?? null,
    last_used: key.lastUsedAt?.toISOString() ?? null,
  };
}
