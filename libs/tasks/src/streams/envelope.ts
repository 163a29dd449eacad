import type { RequestContext } from '@yuxi/observability';

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
  context?: Pick<RequestContext, 'requestId' | 'traceparent'>;
}

/** What most tasks do not have, under short names: there may be a hundred thousand of them in memory. */
interface Extra {
  o?: string;
  k?: string;
  r?: string;
  t?: string;
}

export type OpenedEnvelope = Omit<Envelope, 'payload'> & { payload: unknown };

/** `[id, name, version, attempt, payload, extra?]` as JSON. */
export function sealEnvelope({ id, name, version, attempt, payload, owner, dedupe, context }: Envelope): string {
  const head = `[${JSON.stringify(id)},${JSON.stringify(name)},${version},${attempt},${payload}`;
  if (owner === undefined && dedupe === undefined && context === undefined) return `${head}]`;
  const extra: Extra = { o: owner, k: dedupe, r: context?.requestId, t: context?.traceparent };
  return `${head},${JSON.stringify(extra)}]`;
}

/** @throws {SyntaxError} for what {@link sealEnvelope} did not make */
export function openEnvelope(text: string): OpenedEnvelope {
  const [id, name, version, attempt, payload, extra] = JSON.parse(text) as [
    string,
    string,
    number,
    number,
    unknown,
    Extra?,
  ];
  const { o: owner, k: dedupe, r: requestId, t: traceparent } = extra ?? {};
  const context = requestId === undefined ? undefined : { requestId, traceparent };
  return { id, name, version, attempt, payload, owner, dedupe, context };
}
