import { YuxiError } from '@yuxi/core';

/** The name or the content of the file shows a type that is not supported. */
export class UnsupportedTypeError extends YuxiError {
  constructor(message: string, cause?: unknown) {
    super(message, { code: 'UNSUPPORTED_TYPE', cause });
  }
}

/** The file contains only white space. */
export class EmptyFileError extends YuxiError {
  constructor(filename: string) {
    super(`${JSON.stringify(filename)} is empty: upload a file with text in it`, { code: 'EMPTY_FILE' });
  }
}

/** The content has the right type but cannot be converted to text. */
export class ParseError extends YuxiError {
  constructor(message: string, cause?: unknown) {
    super(message, { code: 'PARSE_FAILED', cause });
  }
}

/** The name of an uploaded file cannot be accepted, even after cleaning. */
export class InvalidFilenameError extends YuxiError {
  constructor(rule: string) {
    super(`The file name ${rule}`, { code: 'INVALID_FILENAME' });
  }
}
