import { setTimeout } from 'node:timers/promises';

export const delivered: string[] = [];

export async function deliver(to: string, signal: AbortSignal): Promise<{ to: string }> {
  await setTimeout(1, undefined, { signal });
  delivered.push(to);
  return { to };
}
