import { type ApiClient, eventually, form } from '@yuxi/testing';
import { requestIndex } from '../knowledge/made-files.js';

const MINUTE = 60_000;

/** How a document ended. */
export interface Ending {
  /** `indexed`, `error_…`, or the status of HTTP that refused the upload. */
  status: string;
  /** Why it is not indexed. */
  error: string | null;
  chunks: number;
}

/** Where a document goes. */
export interface Target {
  client: ApiClient;
  token: string;
  dbId: string;
}

/** @returns the id of the file, or how it was refused */
export async function uploadLarge(
  { client, token, dbId }: Target,
  filename: string,
  content: string,
): Promise<{ fileId: string } | Ending> {
  const { status, body } = await client.post<{ file_id: string; detail?: string }>(
    `/api/knowledge/files/upload?db_id=${dbId}`,
    { multipart: form(filename, content), token, timeout: 10 * MINUTE },
  );
  if (status < 300) return { fileId: body.file_id };
  return { status: `${status}`, error: body.detail ?? null, chunks: 0 };
}

/**
 * Waits until a document is indexed or has failed.
 * @param givenUp a reason why that will not happen any more
 */
export async function indexLarge(
  target: Target,
  fileIds: readonly string[],
  timeout: number,
  givenUp: () => string | undefined = () => undefined,
): Promise<Ending[]> {
  const { client, token, dbId } = target;
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
