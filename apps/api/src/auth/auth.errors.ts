import { ApiError } from '../http/index.js';

/** No token or key, or one that does not count: expired, forged, of a session that ended, of a deleted user. */
export function unauthorized(): ApiError {
  return new ApiError('UNAUTHORIZED', 'Log in first: the token is missing or no longer valid');
}

/** One answer for a wrong password, an unknown and a deleted user. */
export function badCredentials(): ApiError {
  return new ApiError('UNAUTHORIZED', 'User name or password is wrong');
}

/** Not 401: the session is as good as before. */
export function wrongPassword(path: string): ApiError {
  const message = 'is wrong';
  return new ApiError('WRONG_PASSWORD', `${path} ${message}`, { errors: [{ path, message }] });
}

/** The client has, or will have, the answer to the first use of the same token. */
export function refreshSuperseded(): ApiError {
  return new ApiError('REFRESH_SUPERSEDED', 'This refresh token was used a moment ago: use the one that was answered');
}

export function forbidden(message: string): ApiError {
  return new ApiError('FORBIDDEN', message);
}

export function keyNotFound(): ApiError {
  return new ApiError('NOT_FOUND', 'There is no such key');
}

export function tooManyKeys(most: number): ApiError {
  return new ApiError('CONFLICT', `There are ${most} keys already: revoke one first`);
}

export function userNotFound(): ApiError {
  return new ApiError('NOT_FOUND', 'There is no such user');
}
