import { type ApiClient, form } from '@yuxi/testing';
import { createKnowledgeBase } from '../fleet.js';
import { tasksEnded } from '../tasks/tasks.js';

/** Uploads a document, indexes it and searches. @returns the texts that the search found */
export async function uploadToSearch(
  client: ApiClient,
  token: string,
  text: string,
  question: string,
): Promise<string[]> {
  const dbId = await createKnowledgeBase(client, token, 'deployed');
  const uploaded = await client.post<{ file_id: string }>(`/api/knowledge/files/upload?db_id=${dbId}`, {
    multipart: form('page.html', `<html><body><p>${text}</p></body></html>`, 'text/html'),
    token,
  });
  if (uploaded.status >= 300)
    throw new Error(`the upload answered ${uploaded.status}: ${JSON.stringify(uploaded.body)}`);
  const begun = await client.post<{ task_id: string }>(`/api/knowledge/databases/${dbId}/documents/index`, {
    json: { file_ids: [uploaded.body.file_id] },
    token,
  });
  const [task] = await tasksEnded(client, token, [begun.body.task_id], 60_000);
  if (task?.status !== 'success') throw new Error(`the task ended as ${task?.status}: ${task?.error}`);
  const { body } = await client.post<{ result: { content: string }[] }>(`/api/knowledge/databases/${dbId}/query`, {
    json: { query: question },
    token,
  });
  return body.result.map(({ content }) => content);
}
