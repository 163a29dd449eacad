/**
 * Probability that a value of `a` is larger than a value of `b` (area under the ROC curve). 0.5: the values do not differ; 1 or 0: they
 * do not overlap. Equal values count half.
 */
export function auc(a: readonly number[], b: readonly number[]): number {
  const all = [...a.map((value) => ({ value, of: a })), ...b.map((value) => ({ value, of: b }))];
  all.sort((one, other) => one.value - other.value);
  let ranks = 0;
  for (let i = 0; i < all.length;) {
    let end = i;
    while (end < all.length && all[end]!.value === all[i]!.value) end++;
    const rank = (i + 1 + end) / 2;
    for (; i < end; i++) if (all[i]!.of === a) ranks += rank;
  }
  return (ranks - (a.length * (a.length + 1)) / 2) / (a.length * b.length);
}

export function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1] ?? Number.NaN;
}
