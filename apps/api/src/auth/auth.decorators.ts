import { applyDecorators, createParamDecorator, SetMetadata, type ExecutionContext } from '@nestjs/common';
import { ApiExtension } from '@nestjs/swagger';
import { PUBLIC } from '@yuxi/platform';
import type { KeyScope, Role } from '@yuxi/storage';
import { PUBLIC_EXTENSION, setRouteFlags } from '../http/index.js';
import type { Caller } from './caller.js';

export const ROLE = 'yuxi:role';
export const KEY_ACCESS = 'yuxi:key-access';

/** A request after authentication. */
export interface AuthenticatedRequest {
  caller?: Caller;
}

/** Opens a route, or all routes of a controller, to requests without a token. All other routes require one. */
export function Public(): MethodDecorator & ClassDecorator {
  return applyDecorators(
    SetMetadata(PUBLIC, true),
    ApiExtension(PUBLIC_EXTENSION, true),
    setRouteFlags({ open: true }),
  );
}

/** Requires a role, or a higher one: user < admin < superadmin. Without it every user may call the route. */
export function Roles(role: Role): MethodDecorator & ClassDecorator {
  return SetMetadata(ROLE, role);
}

/** Names the scope that an API key needs for a route. Default: `read` for GET and HEAD, `write` for other methods. */
export function KeyAccess(scope: KeyScope): MethodDecorator & ClassDecorator {
  return SetMetadata(KEY_ACCESS, scope);
}

/** Closes a route to API keys. Accounts, sessions, passwords and keys are managed by logged-in people only. */
export function SessionOnly(): MethodDecorator & ClassDecorator {
  return SetMetadata(KEY_ACCESS, 'none');
}

/** The {@link Caller} of the request. Not for public routes. */
export const CurrentUser = createParamDecorator((_: unknown, context: ExecutionContext): Caller => {
  const { caller } = context.switchToHttp().getRequest<AuthenticatedRequest>();
  if (!caller) throw new Error('@CurrentUser() needs an authenticated request: remove @Public() from the route');
  return caller;
});
