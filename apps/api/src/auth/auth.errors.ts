import { ApiError } from '../http/index.js';

/** No token, or one that does not count: expired, forged, of a deleted user, from before a change of password. */
export function unauthorized(): ApiError {
  return new ApiError('UNAUTHORIZED', 'Log in first: the token is missing or no longer valid');
}

/** One answer for a wrong password, an unknown and a deleted user. */
export function badCredentials(): ApiError {
  return new ApiError('UNAUTHORIZED', 'User name or password is wrong');
}

export function forbidden(message: string): ApiError {
  return new ApiError('FORBIDDEN', message);
}

export function userNotFound(): ApiError {
  return new ApiError('NOT_FOUND', 'There is no such user');
}
