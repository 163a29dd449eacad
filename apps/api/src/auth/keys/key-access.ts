import { SetMetadata, type ExecutionContext } from '@nestjs/common';
import type { Reflector } from '@nestjs/core';
import type { KeyScope } from '@yuxi/storage';
import type { FastifyRequest } from 'fastify';
import { forbidden } from '../auth.errors.js';
import type { KeyCredential } from '../caller.js';

const KEY_ACCESS = 'yuxi:key-access';
const READS: ReadonlySet<string> = new Set(['GET', 'HEAD']);

/** Names the scope a key needs for a route, or for all of a controller. Without it: `read` for GET, `write` for the rest. */
export function KeyAccess(scope: KeyScope): MethodDecorator & ClassDecorator {
  return SetMetadata(KEY_ACCESS, scope);
}

/** Closes a route, or all routes of a controller, to API keys: accounts, sessions, passwords and keys are for people. */
export function SessionOnly(): MethodDecorator & ClassDecorator {
  return SetMetadata(KEY_ACCESS, 'none');
}

/** @throws {ApiError} 403 when a key with these scopes may not call the handler */
export function checkKeyAccess({ scopes }: KeyCredential, context: ExecutionContext, reflector: Reflector): void {
  const declared = reflector.getAllAndOverride<KeyScope | 'none' | undefined>(KEY_ACCESS, [
    context.getHandler(),
    context.getClass(),
  ]);
  const { method } = context.switchToHttp().getRequest<FastifyRequest>();
  const needed = declared ?? (READS.has(method) ? 'read' : 'write');
  if (needed === 'none') throw forbidden('This is closed to API keys: log in');
  if (!scopes.includes(needed)) throw forbidden(`This needs a key with the scope ${needed}`);
}
