import { seededRandom } from '../random.js';
import type { Document } from './cranfield.js';

/** The numbers of documents and questions in Cranfield. */
const DOCUMENTS = 1400;
const QUESTIONS = 225;
const SEED = 1957;
/** Ids of the empty documents, as in Cranfield. */
const EMPTY = new Set(['471', '995']);
/** One in so many documents contains a paragraph twice, because equal chunks in a file are the difficult case. */
const REPEATS_EVERY = 20;

const SUBJECTS =
  'wing,rotor,turbine,hull,valve,bridge,engine,membrane,cylinder,nozzle,shell,propeller,boundary layer'.split(',');
const VERBS = 'carries,resists,heats,cools,bends,damps,divides,measures,follows,exceeds,delays,replaces'.split(',');
const OBJECTS = 'pressure,flow,stress,load,temperature,drag,lift,noise,vibration,current,moment,velocity'.split(',');
const ADVERBS = 'slowly,evenly,at high speed,in the laboratory,near the wall,without loss,under water,by half'.split(
  ',',
);
const HAN =
  '机翼,转子,涡轮,船体,阀门,桥梁,发动机,薄膜,圆柱,喷嘴,壳体,螺旋桨,压力,流动,应力,载荷,温度,阻力,升力,噪声,振动,速度'.split(
    ',',
  );

function pick<T>(random: () => number, items: readonly T[]): T {
  return items[Math.floor(random() * items.length)]!;
}

function sentence(random: () => number, chinese: boolean): string {
  const number = Math.floor(random() * 10_000);
  if (chinese) return `${pick(random, HAN)}的${pick(random, HAN)}在第${number}次试验中影响${pick(random, HAN)}。`;
  const [subject, verb, object] = [pick(random, SUBJECTS), pick(random, VERBS), pick(random, OBJECTS)];
  return `the ${subject} of test ${number} ${verb} the ${object} of a ${pick(random, SUBJECTS)} ${pick(random, ADVERBS)}. `;
}

/** Sizes as in Cranfield: most texts have about 1,000 characters, few have less than 200 or more than 4,000. */
function length(random: () => number): number {
  const normal = random() + random() + random() + random() - 2;
  return Math.min(4300, Math.max(200, 990 * Math.exp(normal * 1.3)));
}

function text(random: () => number, id: number): string {
  const chinese = random() < 0.3;
  const wanted = length(random) / (chinese ? 3 : 1);
  let made = '';
  while (made.length < wanted) made += sentence(random, chinese);
  return id % REPEATS_EVERY === 0 ? `${made}\n\n${made}` : made;
}

/** A corpus for tests that need only the number, the sizes and the mixture of documents. Always the same. */
export function documents(): Document[] {
  const random = seededRandom(SEED);
  return Array.from({ length: DOCUMENTS }, (_, i) => {
    const id = String(i + 1);
    if (EMPTY.has(id)) return { id, title: '', text: '' };
    return { id, title: `report ${id} on the ${pick(random, SUBJECTS)}`, text: text(random, i + 1) };
  });
}

/** Questions with words of the corpus. */
export function questions(): string[] {
  const random = seededRandom(SEED + 1);
  return Array.from({ length: QUESTIONS }, () =>
    random() < 0.3
      ? `${pick(random, HAN)}${pick(random, HAN)}`
      : `which ${pick(random, SUBJECTS)} ${pick(random, VERBS)} the ${pick(random, OBJECTS)}`,
  );
}
