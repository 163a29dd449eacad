import { Injectable, Logger, type OnModuleDestroy } from '@nestjs/common';
import { jitter } from '@yuxi/core';
import { Observable, type Subscriber } from 'rxjs';
import { atLeast, type Caller } from './caller.js';
import { Callers } from './callers.js';

/** Milliseconds between two checks, so that what is lost is lost for an open answer within 5 s. */
const CHECK_EVERY = 2000;

/** Rights on things that answers are about. */
export interface Rights<Thing> {
  /** For each pair, in order, whether the actor has them now; asked for many at once. */
  held(pairs: readonly { actor: Caller; thing: Thing }[]): Promise<boolean[]>;
}

/** Whoever asked has the role that let the request in. */
const SAME_ROLE: Rights<Caller> = {
  held: (pairs) => Promise.resolve(pairs.map(({ actor, thing }) => atLeast(actor.role, thing.role))),
};

interface Answer {
  caller: Caller;
  rights: Rights<unknown>;
  thing: unknown;
  over: Subscriber<void>;
}

/**
 * Answers that stay open. A request is checked once, when it comes; these are checked again and again, all of a process by two statements
 * and one for each kind of thing, so that they end on every replica when the caller has logged out, was deleted, or lost the rights on
 * what the answer is about. While none is open nothing is asked.
 */
@Injectable()
export class OpenAnswers implements OnModuleDestroy {
  readonly #log = new Logger('OpenAnswers');
  readonly #answers = new Set<Answer>();
  #timer?: NodeJS.Timeout;
  #checking = false;
  #failing = false;
  #stopping = false;

  constructor(private readonly callers: Callers) {}

  /** Emits once when the caller does not count any more, or has lost the rights. @param rights one object for all things of a kind */
  lost(caller: Caller): Observable<void>;
  lost<Thing>(caller: Caller, rights: Rights<Thing>, thing: Thing): Observable<void>;
  lost(caller: Caller, rights: Rights<unknown> = SAME_ROLE, thing: unknown = caller): Observable<void> {
    return new Observable((over) => {
      const answer: Answer = { caller, rights, thing, over };
      this.#answers.add(answer);
      this.#schedule();
      return () => this.#answers.delete(answer);
    });
  }

  onModuleDestroy(): void {
    this.#stopping = true;
    clearTimeout(this.#timer);
  }

  #schedule(): void {
    if (this.#timer !== undefined || this.#checking || this.#stopping || this.#answers.size === 0) return;
    this.#timer = setTimeout(() => void this.#check(), jitter(CHECK_EVERY)).unref();
  }

  async #check(): Promise<void> {
    this.#timer = undefined;
    this.#checking = true;
    try {
      for (const { over } of await this.#refused([...this.#answers])) over.next();
      this.#failing = false;
    } catch (error) {
      // Nothing new is told meanwhile: what is told comes from the same database.
      if (!this.#failing) this.#log.warn(`open answers cannot be checked: ${(error as Error).message}`);
      this.#failing = true;
    } finally {
      this.#checking = false;
      this.#schedule();
    }
  }

  async #refused(answers: readonly Answer[]): Promise<Answer[]> {
    const actors = await this.callers.refreshed(answers.map(({ caller }) => caller));
    const present = answers.flatMap((answer, i) => {
      const actor = actors[i];
      return actor ? [{ answer, actor, thing: answer.thing }] : [];
    });
    const kept = new Set<Answer>();
    for (const rights of new Set(present.map(({ answer }) => answer.rights))) {
      const asked = present.filter(({ answer }) => answer.rights === rights);
      const held = await rights.held(asked);
      for (const [i, { answer }] of asked.entries()) if (held[i]) kept.add(answer);
    }
    return answers.filter((answer) => !kept.has(answer));
  }
}
