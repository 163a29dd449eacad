/** Groups are closed together, this long after the first of them had a member finished, milliseconds. */
const PAUSE = 50;

/**
 * Collects groups whose members ended. A group's state is counted whenever somebody looks, so nothing waits for its row;
 * closing it after each member would cost a statement for each.
 */
export class GroupCloser {
  private readonly waiting = new Set<string>();
  private timer?: NodeJS.Timeout;
  private closing: Promise<void> = Promise.resolve();

  constructor(
    private readonly write: (groups: string[]) => Promise<void>,
    private readonly failed: (error: unknown) => void,
  ) {}

  add(groups: readonly string[]): void {
    for (const group of groups) this.waiting.add(group);
    if (this.waiting.size > 0) this.timer ??= setTimeout(() => void this.flush(), PAUSE).unref();
  }

  /** Closes what was added so far; never rejects: what fails here is found by the sweep of open groups. */
  async flush(): Promise<void> {
    clearTimeout(this.timer);
    this.timer = undefined;
    const groups = [...this.waiting];
    this.waiting.clear();
    if (groups.length > 0) this.closing = this.closing.then(() => this.write(groups)).catch(this.failed);
    await this.closing;
  }
}
