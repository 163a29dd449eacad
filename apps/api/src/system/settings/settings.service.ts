import { Inject, Injectable } from '@nestjs/common';
import {
  ConfigRollout,
  type ConfigUpdate,
  ConfigValidationError,
  LiveConfig,
  readConfigJson,
  type UpdateOptions,
} from '@yuxi/config-sync';
import { AuditLog } from '../../audit/index.js';
import { type Caller, viaKey } from '../../auth/index.js';
import { ApiError } from '../../http/index.js';
import { toReplicaView } from './settings.schemas.js';

interface Version {
  revision: number;
  hash: string;
}

const DIGITS = 12;
const TAG = /^"(\d{1,15})-([0-9a-f]{12})-[0-9a-f]{12}"$/;

type Sections = Readonly<Record<string, readonly string[]>>;
type Values = Record<string, Record<string, unknown>>;

/** Shows and changes the live settings: flat, with masked secrets. Each change is recorded in the audit log. */
@Injectable()
export class SettingsService {
  constructor(
    @Inject(LiveConfig) private readonly config: LiveConfig,
    private readonly rollout: ConfigRollout,
    private readonly audit: AuditLog,
  ) {}

  current() {
    const snapshot = this.config.masked();
    return { ...snapshot, values: flatten(snapshot.values), tag: entityTag(snapshot, this.config.schemaVersion) };
  }

  async update(caller: Caller, flat: Record<string, unknown>, options: UpdateOptions): Promise<ConfigUpdate> {
    const update = await this.config.update(toPatch(this.config.keys, flat), { ...options, author: caller.userId });
    this.#record(caller, { changed: Object.keys(flat), revision: update.revision });
    return update;
  }

  async rollback(caller: Caller, revision: number, options: UpdateOptions): Promise<ConfigUpdate> {
    const update = await this.config.rollback(revision, { ...options, author: caller.userId });
    this.#record(caller, { back_to: revision, revision: update.revision });
    return update;
  }

  async preview(flat: Record<string, unknown>, options: UpdateOptions) {
    const { revision, changes } = await this.config.preview(toPatch(this.config.keys, flat), options);
    return { revision, dry_run: true as const, changes };
  }

  /** The response to a change. 202: not all replicas served it within `wait` milliseconds. */
  async written({ revision, applied }: ConfigUpdate, wait: number | undefined) {
    const view = { revision, applied, config: this.current().values };
    if (wait === undefined) return { status: 200, view };
    const { converged, replicas } = await this.rollout.wait(wait);
    const laggards = replicas.filter(({ state }) => state !== 'serving').map(toReplicaView);
    return { status: converged ? 200 : 202, view: { ...view, converged, laggards } };
  }

  #record(caller: Caller, details: Record<string, unknown>): void {
    this.audit.record({
      action: 'settings.change',
      actor: caller.id,
      target: 'settings',
      details: { ...details, ...viaKey(caller) },
    });
  }
}

/** The API shows one flat object, as the legacy API does: keys are unique across the sections. */
export function flatten(settings: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.assign({}, ...Object.values(settings)) as Record<string, unknown>;
}

/**
 * Sorts flat keys into their sections.
 * @throws {ConfigValidationError} which names every unknown key
 */
function toPatch(sections: Sections, flat: unknown): Values {
  const patch: Values = {};
  const unknown: string[] = [];
  for (const [key, value] of Object.entries(readConfigJson(flat) as Record<string, unknown>)) {
    const section = Object.keys(sections).find((name) => sections[name]!.includes(key));
    if (section) (patch[section] ??= {})[key] = value;
    else unknown.push(key);
  }
  if (unknown.length > 0)
    throw new ConfigValidationError(
      unknown.map((path) => ({ path, rule: 'must be a known setting', got: 'unknown key' })),
    );
  return patch;
}

/**
 * ETag of the settings as this build shows them: revision, hash of the values that were set, and version of the schema.
 * `If-Match` compares only the first two, so that replicas of two builds accept each other's tags.
 */
function entityTag({ revision, hash }: Version, schemaVersion: string): string {
  return `"${revision}-${hash.slice(0, DIGITS)}-${schemaVersion}"`;
}

/**
 * The condition in an `If-Match` header; `*` has none.
 * @throws {ApiError} 428 without the header; 412 for a text that is no tag of the settings
 */
export function ifMatch(header: string | undefined, current: Version): { ifRevision?: number; ifHash?: string } {
  if (header === undefined)
    throw new ApiError(
      'PRECONDITION_REQUIRED',
      'Send If-Match with the ETag of the settings that you read, so that you do not overwrite the change of another user',
    );
  if (header.trim() === '*') return {};
  const [, revision, ifHash] = TAG.exec(header.trim()) ?? [];
  if (revision === undefined)
    throw new ApiError(
      'CONFIG_CONFLICT',
      'If-Match is not an ETag of these settings: read them again and use their ETag',
      {
        details: { revision: current.revision },
      },
    );
  return { ifRevision: Number(revision), ifHash };
}

/** Whether `If-None-Match` has this tag, so that the client has the current settings. */
export function ifNoneMatch(header: string | undefined, tag: string): boolean {
  return header?.split(',').some((each) => ['*', tag].includes(each.trim().replace(/^W\//, ''))) ?? false;
}
