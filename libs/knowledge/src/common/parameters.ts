/** Parameters of a statement that is put together of parts. */
export class Parameters {
  readonly values: unknown[] = [];

  /** @returns the place of the value in the text: `$3` */
  add(value: unknown): string {
    return `$${this.values.push(value)}`;
  }
}
