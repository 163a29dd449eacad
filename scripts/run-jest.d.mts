export function runJest(
  options: readonly string[],
  env?: Record<string, string | undefined>,
  output?: number | 'inherit',
): Promise<number>;
