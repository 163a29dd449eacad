import { expect } from '@jest/globals';
import { cranfield, madeCorpus, reportSkip, upload } from '@yuxi/testing';
import { createKnowledgeBase, type Fleet } from '../fleet.js';
import { FULL } from '../size.js';

type Document = cranfield.Document;

/** Whether the test also measures the quality of searches, which needs judged questions. */
export const judged = FULL && cranfield.cranfieldIsHere;
if (FULL && !judged) reportSkip('search quality over 3 replicas', cranfield.CRANFIELD_ABSENT);

/** Two documents without text, which are refused. */
const EMPTY = ['471', '995'];

const all: readonly Document[] = judged ? cranfield.documents() : madeCorpus.documents();

/** This many documents, always including the two empty ones. */
export function sample(count: number): Document[] {
  const isEmpty = ({ id }: Document) => EMPTY.includes(id);
  return [...all.filter(isEmpty), ...all.filter((document) => !isEmpty(document)).slice(0, count - EMPTY.length)];
}

/** Uploads a sample through all replicas into a new knowledge base. The empty documents are refused. */
export async function ingest({ apis, token }: Fleet, name: string, count: number) {
  const dbId = await createKnowledgeBase(apis[0]!, token, name);
  const { fileIds, refused } = await upload(apis, token, dbId, sample(count));
  expect(Object.fromEntries(refused)).toEqual(Object.fromEntries(EMPTY.map((id) => [id, 422])));
  expect(fileIds.size).toBe(count - EMPTY.length);
  return { dbId, fileIds };
}
