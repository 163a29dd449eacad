import { applyDecorators, createParamDecorator, SetMetadata, type ExecutionContext } from '@nestjs/common';
import { ApiExtension } from '@nestjs/swagger';
import { PUBLIC } from '@yuxi/platform';
import type { Role } from '@yuxi/storage';
import { PUBLIC_EXTENSION, showToHooks } from '../http/index.js';
import type { Caller } from './caller.js';

export { KeyAccess, SessionOnly } from './keys/key-access.js';

export const ROLE = 'yuxi:role';

/** A request that the guard has let in. */
export interface AuthenticatedRequest {
  caller?: Caller;
}

/** Opens a route, or all routes of a controller, to callers without a token. Everything else is closed. */
export function Public(): MethodDecorator & ClassDecorator {
  return applyDecorators(SetMetadata(PUBLIC, true), ApiExtension(PUBLIC_EXTENSION, true), showToHooks({ open: true }));
}

/** Asks for a role, or a higher one: user < admin < superadmin. Without it any user will do. */
export function Roles(role: Role): MethodDecorator & ClassDecorator {
  return SetMetadata(ROLE, role);
}

/** The {@link Caller} behind the request. Not for public routes. */
export const CurrentUser = createParamDecorator((_: unknown, context: ExecutionContext): Caller => {
  const { caller } = context.switchToHttp().getRequest<AuthenticatedRequest>();
  if (!caller) throw new Error('@CurrentUser() on a public route: there is no user');
  return caller;
});
