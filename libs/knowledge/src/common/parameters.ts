/** Parameters of a statement that is built from parts. */
export class Parameters {
  readonly values: unknown[] = [];

  /** @returns the placeholder of the value, for example `$3` */
  add(value: unknown): string {
    return `$${this.values.push(value)}`;
  }
}
