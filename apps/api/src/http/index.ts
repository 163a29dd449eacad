export { ApiAnswer, ApiBodySchema } from './api-schema.decorator.js';
export { ApiError } from './api-error.js';
export type { ApiErrorOptions, FieldError } from './api-error.js';
export { createHttpAdapter } from './http-adapter.js';
export type { HttpAdapterOptions } from './http-adapter.js';
export { HttpModule } from './http.module.js';
export { buildOpenApi, OPENAPI_PATH, PUBLIC_EXTENSION, setupOpenApi } from './openapi.js';
export type { OpenApiOptions } from './openapi.js';
export {
  idParam,
  line,
  pageQuery,
  queryDate,
  queryDuration,
  queryFlag,
  queryInstant,
  queryInt,
  text,
} from './schemas.js';
export { flagsOf, showToHooks } from './route-config.js';
export type { ProblemBody } from './problem.js';
export { singlePagePolicy } from './security-headers.js';
export { readUpload } from './upload.js';
export type { Upload, UploadOptions } from './upload.js';
