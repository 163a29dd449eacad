import { Logger } from '@nestjs/common';
import type { PGlite } from '@electric-sql/pglite';
import type { SqlListener, SqlNotifications } from '@yuxi/core';
import { checkChannel } from './channel.js';

/** `LISTEN` in the embedded database: all who notify are this process. */
export function pgliteNotifications(pglite: PGlite): SqlNotifications {
  return {
    listen(channel: string, listener: SqlListener) {
      checkChannel(channel);
      const listening = pglite.listen(channel, (payload) => listener.message(payload));
      listening.then(
        () => listener.listening(),
        (error: unknown) => new Logger('PgliteListener').error(`cannot listen to ${channel}`, error),
      );
      return async () => {
        const stop = await listening.catch(() => undefined);
        await stop?.();
      };
    },
  };
}
