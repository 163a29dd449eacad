import { OptionsError } from '@yuxi/core';

/** @throws {OptionsError} for what cannot be quoted as a channel of `LISTEN` as it is */
export function checkChannel(channel: string): void {
  if (!/^\w{1,63}$/.test(channel))
    throw new OptionsError('channel', '1..63 letters, digits and underscores', channel, 'SqlNotifications');
}
