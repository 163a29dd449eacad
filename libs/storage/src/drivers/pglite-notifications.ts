import type { SqlListener, SqlNotifications } from '@yuxi/core';
import { checkChannel } from './channel.js';
import { guarded } from './guarded.js';
import type { PgliteSupervisor } from './pglite-supervisor.js';

/** `LISTEN` in the embedded database: all who notify are this process. */
export class PgliteNotifications implements SqlNotifications {
  readonly #listeners = new Map<string, Set<SqlListener>>();
  /** Channels that are listened to by now. */
  readonly #heard = new Set<string>();

  constructor(private readonly supervisor: PgliteSupervisor) {
    supervisor.onNotice((channel, payload) => this.#each(channel, (listener) => listener.message(payload)));
  }

  listen(channel: string, listener: SqlListener): () => Promise<void> {
    checkChannel(channel);
    const others = this.#listeners.get(channel) ?? new Set();
    this.#listeners.set(channel, others.add(listener));
    if (this.#heard.has(channel)) queueMicrotask(() => guarded(() => listener.listening()));
    else if (others.size === 1)
      this.supervisor.listen(channel, () => {
        this.#heard.add(channel);
        this.#each(channel, (each) => each.listening());
      });
    return async () => {
      others.delete(listener);
      if (others.size > 0 || this.#listeners.get(channel) !== others) return;
      this.#listeners.delete(channel);
      this.#heard.delete(channel);
      await this.supervisor.unlisten(channel);
    };
  }

  #each(channel: string, tell: (listener: SqlListener) => void): void {
    for (const listener of this.#listeners.get(channel) ?? []) guarded(() => tell(listener));
  }
}
