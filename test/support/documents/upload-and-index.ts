import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import { json } from 'node:stream/consumers';
import { api, eventually } from '@yuxi/testing';
import { requestIndex } from '../knowledge/made-files.js';

const MINUTE = 60_000;
const BOUNDARY = 'yuxi-large';

/** The result of a document. */
export interface Ending {
  /** `indexed`, `error_…`, or the HTTP status of a refused upload. */
  status: string;
  /** The reason if it is not indexed. */
  error: string | null;
  chunks: number;
}

/** The replica and knowledge base of an upload. */
export interface Target {
  /** URL of the replica. */
  baseUrl: string;
  token: string;
  dbId: string;
}

/**
 * Sends prepared buffers, because a form of this size makes `fetch` block the event loop of the test.
 * @returns the id of the file, or the refusal
 */
export async function uploadLarge(
  { baseUrl, token, dbId }: Target,
  filename: string,
  content: Uint8Array,
): Promise<{ fileId: string } | Ending> {
  const head = Buffer.from(
    `--${BOUNDARY}\r\ncontent-disposition: form-data; name="file"; filename="${filename}"\r\n\r\n`,
  );
  const tail = Buffer.from(`\r\n--${BOUNDARY}--\r\n`);
  const sent = request(`${baseUrl}/api/knowledge/files/upload?db_id=${dbId}`, {
    method: 'POST',
    agent: false,
    headers: {
      authorization: `Bearer ${token}`,
      'content-type': `multipart/form-data; boundary=${BOUNDARY}`,
      'content-length': head.length + content.length + tail.length,
    },
  });
  for (const part of [head, content, tail]) sent.write(part);
  sent.end();
  const [answer] = (await once(sent, 'response', { signal: AbortSignal.timeout(10 * MINUTE) })) as [IncomingMessage];
  const { file_id: fileId, detail = null } = (await json(answer)) as { file_id: string; detail?: string };
  const status = answer.statusCode ?? 0;
  return status < 300 ? { fileId } : { status: `${status}`, error: detail, chunks: 0 };
}

/**
 * Waits until a document is indexed or has failed.
 * @param givenUp returns a reason to stop waiting
 */
export async function indexLarge(
  target: Target,
  fileIds: readonly string[],
  timeout: number,
  givenUp: () => string | undefined = () => undefined,
): Promise<Ending[]> {
  const { baseUrl, token, dbId } = target;
  const client = api(baseUrl);
  await requestIndex(client, token, dbId, fileIds);
  const endings: Ending[] = [];
  for (const fileId of fileIds) {
    const look = async () => {
      const reason = givenUp();
      if (reason) return { status: 'given up', error: reason, chunks: 0 };
      const { status, body } = await client.get<{
        meta: { status: string; error: string | null; chunk_count: number };
      }>(`/api/knowledge/databases/${dbId}/documents/${fileId}/basic`, { token, timeout: MINUTE });
      if (status !== 200) throw new Error(`the document answered ${status}`);
      const { status: state, error, chunk_count: chunks } = body.meta;
      if (state !== 'indexed' && !state.startsWith('error_')) throw new Error(`it is ${state}`);
      return { status: state, error, chunks };
    };
    const describe = 'a document to be indexed or to have failed';
    endings.push((await eventually(look, { timeout, every: 100, describe })) as Ending);
  }
  return endings;
}
