export { ApiError } from './api-error.js';
export { createHttpAdapter } from './http-adapter.js';
export { HttpModule } from './http.module.js';
export { ApiBodySchema, ApiResponseSchema, OPENAPI_PATH, PUBLIC_EXTENSION, setupOpenApi } from './openapi.js';
export {
  futureInstant,
  idParam,
  line,
  pageQuery,
  queryDate,
  queryDuration,
  queryFlag,
  queryInstant,
  queryInt,
} from './schemas.js';
export { flagsOf, setRouteFlags } from './route-flags.js';
export type { ProblemBody } from './error.filter.js';
export { singlePagePolicy } from './security-headers.js';
export { readUpload, UploadSpace } from './upload.js';
