import type { ApiClient } from '../http.js';
import { type Document, fileContent } from './cranfield.js';

export interface Uploaded {
  /** Ids of the files, by id of the document. */
  fileIds: Map<string, string>;
  /** Status of each document that the API refused. */
  refused: Map<string, number>;
}

const CONCURRENCY = 8;

/** Uploads each document as `<id>.txt`, distributed over the replicas. */
export async function upload(
  clients: readonly ApiClient[],
  token: string,
  dbId: string,
  documents: readonly Document[],
): Promise<Uploaded> {
  const fileIds = new Map<string, string>();
  const refused = new Map<string, number>();
  const queue = [...documents.entries()];
  const uploadNext = async () => {
    for (let next = queue.shift(); next; next = queue.shift()) {
      const [index, document] = next;
      const client = clients[index % clients.length]!;
      const { status, body } = await client.post<{ file_id: string }>(`/api/knowledge/files/upload?db_id=${dbId}`, {
        multipart: form(`${document.id}.txt`, fileContent(document)),
        token,
      });
      if (status < 300) fileIds.set(document.id, body.file_id);
      else refused.set(document.id, status);
    }
  };
  await Promise.all(Array.from({ length: CONCURRENCY }, uploadNext));
  return { fileIds, refused };
}

export function form(filename: string, content: string | Uint8Array, type = 'text/plain'): FormData {
  const data = new FormData();
  data.set('file', new Blob([content], { type }), filename);
  return data;
}
