import { type CarriedContext, packContext, PackedContext } from '../packed-context.js';

/** A task as it travels; the entry of the stream holds nothing else. */
export interface Envelope {
  id: string;
  name: string;
  version: number;
  /** Number of the run that is next. */
  attempt: number;
  /** JSON text. */
  payload: string;
  owner?: string;
  /** Let go when the task has ended. */
  dedupe?: string;
  /** Of the request that enqueued it. */
  context?: CarriedContext;
}

/** What few tasks have. */
interface Extra {
  v?: number;
  a?: number;
  o?: string;
  k?: string;
}

export type OpenedEnvelope = Omit<Envelope, 'payload'> & { payload: unknown };

/** `[id, name, payload, context?, extra?]` as JSON. */
export function sealEnvelope({ id, name, version, attempt, payload, owner, dedupe, context }: Envelope): string {
  const head = `[${JSON.stringify(id)},"${name}",${payload}`;
  const plain = version === 1 && attempt === 1 && owner === undefined && dedupe === undefined;
  if (plain && !context) return `${head}]`;
  const from = context ? JSON.stringify(packContext(context)) : '0';
  if (plain) return `${head},${from}]`;
  const extra: Extra = { v: version, a: attempt, o: owner, k: dedupe };
  return `${head},${from},${JSON.stringify(extra)}]`;
}

/** @throws {SyntaxError} for what {@link sealEnvelope} did not make */
export function openEnvelope(text: string): OpenedEnvelope {
  type Parts = [id: string, name: string, payload: unknown, context?: string | 0, extra?: Extra];
  const [id, name, payload, from, extra] = JSON.parse(text) as Parts;
  const context = from ? new PackedContext(from) : undefined;
  return {
    id,
    name,
    payload,
    context,
    version: extra?.v ?? 1,
    attempt: extra?.a ?? 1,
    owner: extra?.o,
    dedupe: extra?.k,
  };
}
