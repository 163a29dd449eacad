import { existsSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { reportSkip } from '@yuxi/testing';
import { bm25Weight, inverseDocumentFrequency } from '../../../../test/support/knowledge/bm25.js';
import { analyze, chunk, termFrequencies } from './index.js';

interface Passage {
  id: string;
  text: string;
}

/** Ranks passages in memory by BM25. A document has the rank of its best passage. */
function ranker(passages: readonly Passage[]): (question: string) => string[] {
  const postings = new Map<string, [passage: number, tf: number][]>();
  const lengths = passages.map(({ text }, passage) => {
    let length = 0;
    for (const [term, tf] of termFrequencies(text)) {
      length += tf;
      const list = postings.get(term);
      if (list) list.push([passage, tf]);
      else postings.set(term, [[passage, tf]]);
    }
    return length;
  });
  const average = lengths.reduce((a, b) => a + b, 0) / passages.length;
  return (question) => {
    const scores = new Map<number, number>();
    for (const term of new Set(analyze(question))) {
      const list = postings.get(term) ?? [];
      const idf = inverseDocumentFrequency(list.length, passages.length);
      for (const [passage, tf] of list) {
        scores.set(passage, (scores.get(passage) ?? 0) + bm25Weight(idf, tf, lengths.at(passage)!, average));
      }
    }
    const best = [...scores].sort((a, b) => b[1] - a[1] || a[0] - b[0]);
    return [...new Set(best.map(([passage]) => passages.at(passage)!.id))];
  };
}

const CRANFIELD = resolve('../shared/data/cranfield');

const rows = <T>(name: string): T[] =>
  readFileSync(resolve(CRANFIELD, name), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as T);

const gain = (scores: readonly number[]): number =>
  scores.slice(0, 10).reduce((sum, score, i) => sum + score / Math.log2(i + 2), 0);

/** Mean nDCG@10 with linear gain over all questions. */
function ndcg(rank: (question: string) => string[]): number {
  const judged = new Map<string, Map<string, number>>();
  for (const row of rows<{ 'query-id': string; 'corpus-id': string; score: number }>('qrels.jsonl')) {
    const known = judged.get(row['query-id']) ?? new Map<string, number>();
    judged.set(row['query-id'], known.set(row['corpus-id'], row.score));
  }
  const questions = rows<{ _id: string; text: string }>('queries.jsonl');
  const sum = questions.reduce((total, { _id, text }) => {
    const known = judged.get(_id) ?? new Map<string, number>();
    const ideal = gain([...known.values()].sort((a, b) => b - a));
    return total + (ideal === 0 ? 0 : gain(rank(text).map((id) => known.get(id) ?? 0)) / ideal);
  }, 0);
  return sum / questions.length;
}

describe('keyword search on Cranfield', () => {
  if (!existsSync(CRANFIELD)) {
    it('needs the Cranfield collection', () => reportSkip('nDCG on Cranfield', `${CRANFIELD} is absent`));
    return;
  }
  const documents = rows<{ _id: string; title: string; text: string }>('corpus.jsonl')
    .filter(({ title, text }) => (title + text).trim() !== '')
    .map(({ _id, title, text }) => ({ id: _id, text: `${title}\n\n${text}` }));

  it('ranks full documents with nDCG@10 of at least 0.52', () => {
    expect(documents).toHaveLength(1398);
    expect(ndcg(ranker(documents))).toBeGreaterThanOrEqual(0.52);
  });

  it('ranks chunks of the default size with nDCG@10 of at least 0.52', () => {
    const passages = documents.flatMap(({ id, text }) => chunk(text).map((part) => ({ id, text: part.text })));
    expect(passages.length).toBeLessThan(documents.length * 1.1);
    expect(ndcg(ranker(passages))).toBeGreaterThanOrEqual(0.52);
  });
});

const PARAGRAPHS: Passage[] = [
  { id: 'tea', text: '绿茶不经过发酵，杀青之后揉捻、烘干，冲泡时水温以八十度左右为宜，水太烫会使茶汤发苦。' },
  { id: 'panda', text: '大熊猫生活在四川的高山竹林里，每天要花十几个小时吃竹子，偶尔也会吃一些小动物。' },
  { id: 'train', text: '高速铁路的列车采用电力牵引，最高时速可达三百五十公里，从上海到北京只需四个多小时。' },
  { id: 'redis', text: '分布式锁用来保证同一时刻只有一个进程修改共享的数据，持有者崩溃后锁会在到期时自动释放。' },
  { id: 'rice', text: '水稻喜欢温暖湿润的环境，插秧之后田里要保持浅水，抽穗期缺水会明显减少产量。' },
  { id: 'moon', text: '月球围绕地球转动一周大约需要二十七天，它的引力造成了海水的涨潮和落潮。' },
  { id: 'vaccine', text: '疫苗让人体的免疫系统提前认识病毒，接种后可能出现低烧和手臂酸痛，一般两天内消失。' },
  { id: 'contract', text: '劳动合同应当写明工作内容、工资和休假天数，试用期最长不得超过六个月。' },
  { id: 'violin', text: '小提琴有四根弦，演奏者用琴弓摩擦琴弦发出声音，左手按弦的位置决定音高。' },
  { id: 'bread', text: '做面包时酵母分解糖分产生气体，使面团膨胀；面团发酵过度会带有酸味。' },
  { id: 'bridge', text: '悬索桥的主缆固定在两岸的锚碇上，桥面的重量通过吊杆传给主缆，适合跨越很宽的江面。' },
  { id: 'privacy', text: '公司收集用户的手机号码之前必须说明用途，并且允许用户随时撤回同意、删除账号。' },
];

const QUESTIONS: [question: string, id: string][] = [
  ['泡绿茶应该用多少度的水？', 'tea'],
  ['熊猫平时吃什么东西', 'panda'],
  ['坐高铁从北京去上海要几个小时', 'train'],
  ['进程崩溃以后锁怎么释放？', 'redis'],
  ['水稻什么时候最怕缺水', 'rice'],
  ['为什么会有涨潮和落潮', 'moon'],
  ['打疫苗后手臂酸痛正常吗', 'vaccine'],
  ['试用期最长可以是几个月？', 'contract'],
  ['小提琴怎样改变音高', 'violin'],
  ['面团为什么会发酸', 'bread'],
  ['哪种桥适合跨越宽阔的江面', 'bridge'],
  ['怎样删除账号并撤回同意', 'privacy'],
  ['悬索桥的重量由什么承担', 'bridge'],
];

describe('keyword search in Chinese', () => {
  const rank = ranker(PARAGRAPHS);

  it.each(QUESTIONS)('answers the question %s with the paragraph about %s', (question, id) => {
    expect(rank(question)[0]).toBe(id);
  });
});
