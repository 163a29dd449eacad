const ENGLISH = `
  a about above after again all also am an and any are as at be because been before being below between both but by
  can could did do does doing down during each few for from further had has have having he her here hers him his how
  i if in into is it its itself just may me might more most must my no nor not of off on once only or other our out
  over own same shall she should so some such than that the their them then there these they this those through to
  too under until up upon us very was we were what when where which while who whom why will with would you your`;

const CHINESE = '的 了 是 在 和 与 及 或 也 都 就 而 着 吗 呢 吧 啊 这 那 之 其 被 把 对 于 从 到 为 以';

/** English words that carry no meaning for a search. */
export const ENGLISH_STOPWORDS: ReadonlySet<string> = new Set(ENGLISH.trim().split(/\s+/));

/** Chinese function words; only as words of their own, never inside a bigram. */
export const CHINESE_STOPWORDS: ReadonlySet<string> = new Set(CHINESE.split(' '));
