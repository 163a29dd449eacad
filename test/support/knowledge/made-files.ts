import { type ApiClient, form } from '@yuxi/testing';

export interface MadeFile {
  file_id: string;
  file_path: string;
}

/** A text of a few chunks, unique for a `name`. One paragraph occurs twice, because equal chunks are the difficult case. */
export function madeText(name: string, paragraphs = 24): string {
  const repeated = `The same remark about ${name} is made yet again. `.repeat(60);
  const others = Array.from({ length: paragraphs }, (_, i) =>
    `Paragraph ${i} of ${name} weighs ${i * 7} grams. `.repeat(20),
  );
  return [repeated, ...others, repeated].join('\n\n');
}

/** @throws Error when the API refuses it. */
export async function uploadText(
  client: ApiClient,
  token: string,
  dbId: string,
  name: string,
  text = madeText(name),
): Promise<MadeFile> {
  const { status, body } = await client.post<MadeFile>(`/api/knowledge/files/upload?db_id=${dbId}`, {
    multipart: form(`${name}.txt`, text),
    token,
  });
  if (status >= 300) throw new Error(`uploading ${name} answered ${status}: ${JSON.stringify(body)}`);
  return body;
}

/** Requests indexing. @returns the id of the task */
export async function requestIndex(
  client: ApiClient,
  token: string,
  dbId: string,
  fileIds: readonly string[],
  params: Record<string, unknown> = {},
): Promise<string> {
  const { status, body } = await client.post<{ task_id: string }>(`/api/knowledge/databases/${dbId}/documents/index`, {
    json: { file_ids: fileIds, params },
    token,
  });
  if (status !== 202) throw new Error(`indexing answered ${status}: ${JSON.stringify(body)}`);
  return body.task_id;
}
