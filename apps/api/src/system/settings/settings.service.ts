import { Inject, Injectable } from '@nestjs/common';
import { ConfigRollout, type ConfigUpdate, LiveConfig, type UpdateOptions } from '@yuxi/config-sync';
import { AuditLog } from '../../audit/index.js';
import { type Caller, viaKey } from '../../auth/index.js';
import { entityTag } from './entity-tag.js';
import { flatten, toPatch } from './flat-settings.js';
import { toReplicaView } from './rollout.view.js';

/** The live settings as the API shows and changes them: flat, with secrets masked, and with an entry in the audit log. */
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

  /** What a change is answered with; 202 when replicas were waited for that do not serve it. */
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
