export {
  ConfigConflictError,
  ConfigRevisionError,
  ConfigUnavailableError,
  ConfigValidationError,
} from './config-sync.errors.js';
export type { ConfigIssue } from './config-sync.errors.js';
export { ConfigSyncModule } from './config-sync.module.js';
export type { ConfigOf, ConfigSections, ConfigSyncOptions } from './config-sync.options.js';
export { OnConfigChange } from './handlers/on-config-change.decorator.js';
export type { ConfigChangeInfo } from './handlers/on-config-change.decorator.js';
export { CONFIG_CHANNEL } from './hints/config-hint.js';
export type { ConfigHint } from './hints/config-hint.js';
export { ConfigPubSubService } from './hints/config-pub-sub.service.js';
export { SQL_CHANNEL } from './hints/sql-hint.js';
export { LiveConfig } from './live-config.js';
export type { ConfigPatch, ConfigPreview, ConfigSnapshot, ConfigUpdate, UpdateOptions } from './live-config.js';
export { configMigrations } from './migrations/index.js';
export { ConfigRollout } from './rollout/config-rollout.js';
export type { ReplicaState, ReplicaStatus, Rollout } from './rollout/config-rollout.js';
export { toJson as readConfigJson } from './schema/json.js';
export type { ConfigDifference } from './schema/diff.js';
export { ConfigSecretError, readSecret } from './secrets/read-secret.js';
export { MASK, secretReference } from './secrets/secret-reference.js';
export type { SecretPlaces } from './secrets/secret-reference.js';
export type { ConfigRevision, HistoryQuery } from './store/config-history.js';
