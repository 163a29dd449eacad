import { Inject, Injectable } from '@nestjs/common';
import { TaskAccess } from '@yuxi/knowledge';
import type { TaskOwnership } from '@yuxi/tasks';
import type { Observable } from 'rxjs';
import { type Caller, OpenAnswers, type Rights } from '../auth/index.js';

/** Ends what is open about a task when the caller may not see it any more. */
@Injectable()
export class TaskStreams {
  readonly #visible: Rights<TaskOwnership>;

  constructor(
    private readonly answers: OpenAnswers,
    @Inject(TaskAccess) access: TaskAccess,
  ) {
    this.#visible = { held: (pairs) => access.areVisible(pairs.map(({ actor, thing }) => ({ actor, task: thing }))) };
  }

  /** Emits once. */
  lost(caller: Caller, task: TaskOwnership): Observable<void> {
    return this.answers.lost(caller, this.#visible, task);
  }
}
