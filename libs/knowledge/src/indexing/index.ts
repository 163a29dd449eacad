export { CLAIM_SECONDS } from './claim.js';
export { indexingHooksFromEnv } from './hooks.js';
export { FileProcessor, type ProcessResult } from './file-processor.js';
export * from './hooks.js';
export * from './indexing.errors.js';
export { PROCESS_FILE, type ProcessFile } from './file-processor.js';
