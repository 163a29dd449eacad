export { CONFIG_CHANNEL, type ConfigHint, ConfigPubSubService } from './config-follower.js';
export {
  ConfigConflictError,
  type ConfigIssue,
  ConfigRevisionError,
  ConfigUnavailableError,
  ConfigValidationError,
} from './config-sync.errors.js';
export { ConfigSyncModule } from './config-sync.module.js';
export type { ConfigOf, ConfigSections, ConfigSyncOptions } from './config-sync.options.js';
export { type ConfigRevision, type HistoryQuery, SQL_CHANNEL } from './config.store.js';
export {
  type ConfigPatch,
  type ConfigPreview,
  type ConfigSnapshot,
  type ConfigUpdate,
  LiveConfig,
  type UpdateOptions,
} from './live-config.js';
export { configMigrations } from './migrations/index.js';
export { type ConfigChangeInfo, OnConfigChange } from './on-config-change.js';
export { ConfigRollout, type ReplicaState, type ReplicaStatus, type Rollout } from './rollout/config-rollout.js';
export { type ConfigDifference, toJson as readConfigJson } from './schema/json.js';
export { ConfigSecretError, MASK, readSecret, type SecretPlaces, secretReference } from './secrets.js';
