import { ApiError } from './api-error.js';

/** One parameter of a Content-Type: RFC 9110, section 5.6.6. */
const PARAMETER = /\s*;\s*([!#$%&'*+.^_`|~\w-]+)=("(?:[^"\\]|\\.)*"|[^\s;"]*)/y;
/** RFC 2046, section 5.1.1: 1 to 70 of these characters, a blank not at the end. */
const BOUNDARY = /^[\w'()+,./:=? -]{0,69}[\w'()+,./:=?-]$/;

/**
 * Checks the boundary of a multipart request before a parser of forms sees it: the parser builds a search from whatever it is given.
 * @throws {ApiError} 400 for a boundary that is missing, given twice, or not as RFC 2046 has it
 */
export function requireBoundary(contentType: string): void {
  const given = parametersOf(contentType).flatMap(([name, value]) => (name === 'boundary' ? [value] : []));
  if (given.length !== 1) throw refused(`must have one boundary, not ${given.length}`);
  if (!BOUNDARY.test(given[0]!)) throw refused("must have a boundary of 1 to 70 letters, digits or '()+_,-./:=? ");
}

function parametersOf(contentType: string): [name: string, value: string][] {
  const parameters: [string, string][] = [];
  const end = contentType.replace(/[\s;]+$/, '').length;
  PARAMETER.lastIndex = /^[^;]*/.exec(contentType)![0].trimEnd().length;
  while (PARAMETER.lastIndex < end) {
    const match = PARAMETER.exec(contentType);
    if (!match) throw refused('is malformed');
    const [, name, value] = match as unknown as [string, string, string];
    parameters.push([
      name.toLowerCase(),
      value.startsWith('"') ? value.slice(1, -1).replaceAll(/\\(.)/g, '$1') : value,
    ]);
  }
  return parameters;
}

function refused(rule: string): ApiError {
  return new ApiError('INVALID_INPUT', `Content-Type of the form ${rule}`);
}
