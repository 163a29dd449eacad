export { decodeText } from './decode.js';
export { detectType, SUPPORTED_TYPES, type FileType } from './detect.js';
export { EmptyFileError, InvalidFilenameError, ParseError, UnsupportedTypeError } from './errors.js';
export { safeFilename } from './filename.js';
export { parse, type ParsedDocument } from './parse.js';
