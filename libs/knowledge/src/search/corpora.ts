import { Inject, Injectable } from '@nestjs/common';
import { SQL_CLIENT, type SqlClient } from '@yuxi/core';

import type { Actor } from '../actor.js';
import { isHandle } from '../common/handle.js';
import { actorParams } from '../databases/database-access.js';
import type { QueryValues } from '../databases/query-options.js';
import { NotFoundError } from '../knowledge.errors.js';
import { type Generation, Generations } from '../vectors/generations.js';
import { CORPUS } from './corpus.sql.js';

/** Knowledge bases and, for each, users that are remembered. */
const MOST_BASES = 1000;
const MOST_READERS = 1000;
/** Counting the chunks of a rarer term takes no time. */
const FREQUENT = 32;

/** What a search knows of a knowledge base before it asks. */
export interface Corpus {
  id: number;
  kbType: string;
  queryParams: QueryValues;
  generation: Generation;
  chunks: number;
  tokens: number;
  /** What `stillSo` compares: of the knowledge base itself, and of what is indexed in it. */
  version: string;
  indexed: string;
  /** Ids of chunks that are in the index and not to be found, as a multirange; null for none. */
  hidden: string | null;
  /** Chunks that have a term, by term, as far as searches have counted them. */
  frequencies: Map<string, number>;
  /** Known from an earlier search. */
  remembered: boolean;
}

interface Remembered extends Corpus {
  /** Who was allowed to search: others learn nothing from what is remembered. */
  readers: Set<number>;
}

/**
 * What searches have found out about knowledge bases, so that the next one needs a single statement. Nothing of it is trusted: that
 * statement finds nothing unless all of it, and the right to search, is so still.
 */
@Injectable()
export class Corpora {
  readonly #known = new Map<string, Remembered>();

  constructor(
    @Inject(SQL_CLIENT) private readonly sql: SqlClient,
    private readonly generations: Generations,
  ) {}

  known(actor: Actor, dbId: string): Corpus | undefined {
    const corpus = this.#known.get(dbId);
    if (!corpus?.readers.has(actor.id)) return undefined;
    this.#keep(dbId, corpus);
    return { ...corpus, generation: this.generations.readable(corpus.generation) };
  }

  /** @throws {NotFoundError} also for who may not see it */
  async read(actor: Actor, dbId: string): Promise<Corpus> {
    if (!isHandle(dbId)) throw new NotFoundError('Database', String(dbId));
    const { rows } = await this.sql.query<Corpus>(CORPUS, [...actorParams(actor), dbId], { plan: 'each' });
    if (!rows[0]) {
      this.#known.get(dbId)?.readers.delete(actor.id);
      throw new NotFoundError('Database', dbId);
    }
    const corpus = rows[0];
    const before = this.#known.get(dbId);
    const same =
      before?.version === corpus.version && before.indexed === corpus.indexed && before.hidden === corpus.hidden;
    const { readers, frequencies } = same
      ? before
      : { readers: new Set<number>(), frequencies: new Map<string, number>() };
    if (readers.size >= MOST_READERS) readers.clear();
    readers.add(actor.id);
    this.#keep(dbId, { ...corpus, frequencies, readers, remembered: true });
    return { ...corpus, generation: this.generations.readable(corpus.generation), frequencies, remembered: false };
  }

  /** @param counted chunks by term, as the statement for this corpus counted them */
  learn({ frequencies }: Corpus, counted: Readonly<Record<string, number>>): void {
    for (const [term, chunks] of Object.entries(counted)) if (chunks >= FREQUENT) frequencies.set(term, chunks);
  }

  #keep(dbId: string, corpus: Remembered): void {
    this.#known.delete(dbId);
    this.#known.set(dbId, corpus);
    if (this.#known.size > MOST_BASES) this.#known.delete(this.#known.keys().next().value!);
  }
}
