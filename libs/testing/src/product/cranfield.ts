import { existsSync, readFileSync } from 'node:fs';

const FOLDER = '../shared/data/cranfield';

export interface Document {
  id: string;
  title: string;
  text: string;
}

export interface Query {
  id: string;
  text: string;
  /** Relevance by document id, 1..4. */
  relevant: Map<string, number>;
}

export const cranfieldIsHere = existsSync(`${FOLDER}/corpus.jsonl`);
export const CRANFIELD_ABSENT = `the Cranfield collection is not at ${FOLDER}`;

const lines = <T>(file: string): T[] =>
  readFileSync(`${FOLDER}/${file}`, 'utf8')
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as T);

/** 1,400 abstracts, of which two are empty. */
export function documents(): Document[] {
  return lines<{ _id: string; title: string; text: string }>('corpus.jsonl').map(({ _id, title, text }) => ({
    id: _id,
    title,
    text,
  }));
}

/** The content of the file for a document; empty for the two empty documents. */
export function fileContent({ title, text }: Document): string {
  return [title, text].filter(Boolean).join('\n\n');
}

export function queries(): Query[] {
  const relevant = new Map<string, Map<string, number>>();
  for (const row of lines<{ 'query-id': string; 'corpus-id': string; score: number }>('qrels.jsonl')) {
    const scores = relevant.get(row['query-id']) ?? new Map<string, number>();
    scores.set(row['corpus-id'], row.score);
    relevant.set(row['query-id'], scores);
  }
  return lines<{ _id: string; text: string }>('queries.jsonl').map(({ _id, text }) => ({
    id: _id,
    text,
    relevant: relevant.get(_id) ?? new Map(),
  }));
}

/** nDCG@10, with linear gain, of a ranked list of document ids. */
export function ndcg10(ranked: readonly string[], relevant: Map<string, number>): number {
  const ideal = gain([...relevant.values()].sort((a, b) => b - a));
  return ideal === 0 ? 0 : gain(ranked.map((id) => relevant.get(id) ?? 0)) / ideal;
}

function gain(scores: readonly number[]): number {
  return scores.slice(0, 10).reduce((sum, score, i) => sum + Math.max(0, score) / Math.log2(i + 2), 0);
}
