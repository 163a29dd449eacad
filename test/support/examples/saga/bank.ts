import { Injectable } from '@nestjs/common';

/** Account of each charge, by its key. */
export const charges = new Map<string, string>();

@Injectable()
export class Bank {
  async charge(account: string, { idempotencyKey, signal }: { idempotencyKey: string; signal: AbortSignal }) {
    signal.throwIfAborted();
    charges.set(idempotencyKey, account);
    return `${account} at ${charges.size}`;
  }
}
