import { ApiError } from '../http/index.js';

/** The token or key is missing, expired or forged, its session has ended, or its user was deleted. */
export function unauthorized(): ApiError {
  return new ApiError('UNAUTHORIZED', 'The token is missing or no longer valid: log in');
}

/** The same response for a wrong password, an unknown user and a deleted one. */
export function badCredentials(): ApiError {
  return new ApiError('UNAUTHORIZED', 'The user name or the password is wrong');
}

/** Not 401: the session stays valid. */
export function wrongPassword(path: string): ApiError {
  const message = 'is wrong';
  return new ApiError('WRONG_PASSWORD', `${path} ${message}`, { errors: [{ path, message }] });
}

/** The response to the first use of the same token has the next one. */
export function refreshSuperseded(): ApiError {
  return new ApiError(
    'REFRESH_SUPERSEDED',
    'This refresh token was used a moment ago: use the refresh token from the response to that request',
  );
}

export function forbidden(message: string): ApiError {
  return new ApiError('FORBIDDEN', message);
}

export function keyNotFound(): ApiError {
  return new ApiError('NOT_FOUND', 'You have no API key with this id');
}

export function tooManyKeys(most: number): ApiError {
  return new ApiError('CONFLICT', `You have ${most} API keys, the maximum: revoke one first`);
}

export function userNotFound(): ApiError {
  return new ApiError('NOT_FOUND', 'There is no user with this id');
}
