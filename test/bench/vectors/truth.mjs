/** A vector in the text format of pgvector. */
export const textOf = (vector) => `[${Array.from(vector, (value) => Number(value.toFixed(6))).join(',')}]`;

const dot = (a, b) => {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i];
  return sum;
};

/** For each question, the cosine of the last of its `top` nearest vectors. */
export function exactly(vectors, questions, top) {
  return questions.map((question) => {
    const scores = Float64Array.from(vectors, (vector) => dot(vector, question)).sort();
    return scores[scores.length - top];
  });
}

/** A 16-bit number has three and a half digits. A smaller difference from the last nearest vector counts as equal. */
const SAME = 5e-4;

/** Share of the answer that belongs to the nearest vectors. */
export function recallOf(least, found, question, vectors) {
  return found.filter((i) => dot(vectors[i], question) >= least - SAME).length / 10;
}

/** Random vectors of length 1, with equal probability in all directions. */
export function randomUnits(count, dimensions, random) {
  const gauss = () => Math.sqrt(-2 * Math.log(random() + 1e-12)) * Math.cos(2 * Math.PI * random());
  return Array.from({ length: count }, () => {
    const vector = Float32Array.from({ length: dimensions }, gauss);
    const norm = Math.sqrt(dot(vector, vector));
    return vector.map((value) => value / norm);
  });
}
