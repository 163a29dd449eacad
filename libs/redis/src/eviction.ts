import type { Logger } from '@nestjs/common';
import type { RedisClient } from './redis.tokens.js';

/** Locks and counters must not be evicted: warns when the server is allowed to. Once per policy seen. */
export function warnOfEviction(client: RedisClient, logger: Logger): void {
  let told = 'noeviction';
  const check = (info: string) => {
    const policy = /^maxmemory_policy:(\S+)/m.exec(info)?.[1];
    if (policy === undefined || policy === told) return;
    told = policy;
    if (policy !== 'noeviction')
      logger.warn(`maxmemory-policy is ${policy}: Redis may drop locks and counters; set it to noeviction`);
  };
  // INFO is a courtesy; without permission or connection there is nothing to warn of.
  client.on('ready', () => void client.info('memory').then(check, () => undefined));
}
