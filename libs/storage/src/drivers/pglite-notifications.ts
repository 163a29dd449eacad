import { Logger } from '@nestjs/common';
import type { PGlite } from '@electric-sql/pglite';
import { OptionsError, type SqlListener, type SqlNotifications } from '@yuxi/core';

const CHANNEL = /^\w{1,63}$/;

/** `LISTEN` in the embedded database: all who notify are this process. */
export function pgliteNotifications(pglite: PGlite): SqlNotifications {
  return {
    listen(channel: string, listener: SqlListener) {
      if (!CHANNEL.test(channel))
        throw new OptionsError('channel', '1..63 letters, digits and underscores', channel, 'SqlNotifications');
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
