import { z } from 'zod';
import { line, pageQuery, queryInt } from '../http/index.js';
import { isLongEnough, isShortEnough, MAX_BYTES, MIN_LENGTH } from './passwords/password-rules.js';

const TOO_SHORT = `must have at least ${MIN_LENGTH} characters`;
const TOO_LONG = `must have at most ${MAX_BYTES} bytes`;

const userId = z.string().regex(/^[A-Za-z0-9_]{3,20}$/, 'must be 3 to 20 letters, digits or underscores');
const phoneNumber = z.string().regex(/^\+?\d{5,20}$/, 'must be 5 to 20 digits, with an optional + in front');
/** Too long ones are refused before anything is hashed. */
const givenPassword = z.string().min(1).refine(isShortEnough, TOO_LONG);
/** No rules of composition and no silent cut: only length here, and what is guessed first in `checkPassword`. */
const newPassword = z.string().refine(isLongEnough, TOO_SHORT).refine(isShortEnough, TOO_LONG);
const username = line(64);
/** There is one superadmin, made by initialize: the role is not given away. */
const role = z.enum(['user', 'admin']);
const departmentId = z
  .int()
  .min(1)
  .max(2 ** 31 - 1);

export const initializeBody = z.strictObject({
  user_id: userId,
  password: newPassword,
  phone_number: phoneNumber.nullish(),
  setup_token: z.string().max(1024).optional(),
});

/** JSON, or the form of an OAuth2 password grant, whose other fields are taken and ignored. */
export const tokenBody = z.strictObject({
  username: z.string().min(1).max(255),
  password: givenPassword,
  grant_type: z.enum(['password', '']).optional(),
  scope: z.string().max(1024).optional(),
  client_id: z.string().max(255).optional(),
  client_secret: z.string().max(255).optional(),
});

export const changePasswordBody = z.strictObject({
  current_password: givenPassword,
  new_password: newPassword,
  revoke_keys: z.boolean().default(false).describe('Revoke all API keys of the user, too'),
});

export const refreshBody = z.strictObject({ refresh_token: z.string().min(1).max(1024) });

/** Also without a body. */
export const logoutBody = z
  .strictObject({ everywhere: z.boolean().default(false).describe('End all sessions of the user') })
  .default({ everywhere: false });

const somethingGiven = (body: object) => Object.values(body).some((value) => value !== undefined);
const NOTHING_GIVEN = 'has nothing to change';

export const profileBody = z
  .strictObject({ username: username.optional(), phone_number: phoneNumber.nullish() })
  .refine(somethingGiven, NOTHING_GIVEN);

export const createUserBody = z.strictObject({
  user_id: userId.optional().describe('Login name. Default: the user name where it fits, else made up'),
  username,
  password: newPassword,
  role: role.default('user'),
  phone_number: phoneNumber.nullish(),
  department_id: departmentId.nullish().describe("Default: the creator's department"),
});

export const updateUserBody = z
  .strictObject({
    username: username.optional(),
    password: newPassword.optional(),
    role: role.optional(),
    phone_number: phoneNumber.nullish(),
    department_id: departmentId.optional(),
  })
  .refine(somethingGiven, NOTHING_GIVEN);

export const usersQuery = pageQuery.extend({ limit: queryInt(1, 100).default(100) });

export type InitializeBody = z.output<typeof initializeBody>;
export type TokenBody = z.output<typeof tokenBody>;
export type ChangePasswordBody = z.output<typeof changePasswordBody>;
export type RefreshBody = z.output<typeof refreshBody>;
export type LogoutBody = z.output<typeof logoutBody>;
export type ProfileBody = z.output<typeof profileBody>;
export type CreateUserBody = z.output<typeof createUserBody>;
export type UpdateUserBody = z.output<typeof updateUserBody>;

export function fitsUserId(text: string): boolean {
  return userId.safeParse(text).success;
}
