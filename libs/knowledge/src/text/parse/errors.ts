import { YuxiError } from '@yuxi/core';

/** The file is of a type that cannot be read, by its name or by its content. */
export class UnsupportedTypeError extends YuxiError {
  constructor(message: string, cause?: unknown) {
    super(message, { code: 'UNSUPPORTED_TYPE', cause });
  }
}

/** The file holds nothing but white space. */
export class EmptyFileError extends YuxiError {
  constructor(filename: string) {
    super(`${JSON.stringify(filename)} is empty: upload a file with text in it`, { code: 'EMPTY_FILE' });
  }
}

/** The content is of the right type, but cannot be turned into text. */
export class ParseError extends YuxiError {
  constructor(message: string, cause?: unknown) {
    super(message, { code: 'PARSE_FAILED', cause });
  }
}

/** The name of an uploaded file cannot be kept, not even cleaned. */
export class InvalidFilenameError extends YuxiError {
  constructor(rule: string) {
    super(`The file name ${rule}`, { code: 'INVALID_FILENAME' });
  }
}
