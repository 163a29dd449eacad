import { basename } from 'node:path';
import { matchesAny } from './files.mjs';
import { markdownBlocks, sentences, withoutCode, wordCount } from './prose.mjs';
import { markedComments, scriptParts } from './source.mjs';

/** Parts of a name in lower case: `LAST_WORDS`, `lastWords` and `last-words` are `last words`. */
function parts(name) {
  return name
    .replaceAll(/([a-z\d])([A-Z])|([A-Z])(?=[A-Z][a-z])/g, '$1$3 $2')
    .toLowerCase()
    .split(/[^a-z\d]+/)
    .filter(Boolean);
}

/** Which kind of text a file is, by its name; undefined for one that is not checked. */
function kindOf(file) {
  const name = basename(file);
  if (name.endsWith('.md')) return 'markdown';
  if (/\.(?:[cm]?ts|[cm]?js)$/.test(name)) return 'script';
  if (name.endsWith('.lua')) return 'lua';
  if (/\.(?:ya?ml|sh|toml)$|^Dockerfile|^\.env\.example$/.test(name)) return 'hash';
  return undefined;
}

/** Names, prose and texts of a file. Prose has its limit of words for one sentence, or none. */
function read(file, kind, text, limits) {
  if (kind === 'markdown') {
    const { blocks, code } = markdownBlocks(text);
    return {
      names: code.flatMap(namesIn),
      prose: blocks.map((block) => ({ ...block, limit: limits.docs })),
      texts: [],
    };
  }
  if (kind === 'script') {
    const { identifiers, strings, comments } = scriptParts(file, text);
    return {
      names: identifiers,
      prose: comments.map((block) => ({ ...block, limit: limits.comments })),
      texts: strings,
    };
  }
  const comments = markedComments(text, kind === 'lua' ? '--' : '#');
  const names = kind === 'lua' ? namesIn({ text: text.replaceAll(/--.*/g, ''), line: 1 }) : [];
  return { names, prose: comments.map((block) => ({ ...block, limit: limits.comments })), texts: [] };
}

function namesIn({ text, line }) {
  return text.split('\n').flatMap((part, index) => {
    return [...part.matchAll(/[A-Za-z_$][\w$-]*/g)].map(([name]) => ({ text: name, line: line + index }));
  });
}

const idOf = (rule) => rule.name ?? rule.stem ?? rule.run;

/** Compiles the rules of `docs/words.json`. @returns a function `(file, text) => findings` */
export function wordsLint(rules) {
  const byName = new Map(rules.identifiers.filter((rule) => rule.name).map((rule) => [rule.name, rule]));
  const stems = rules.identifiers.filter((rule) => rule.stem);
  const runs = rules.identifiers.filter((rule) => rule.run).map((rule) => ({ ...rule, text: ` ${rule.run} ` }));
  const phrases = rules.phrases.map((rule) => ({ ...rule, regex: new RegExp(`\\b(?:${rule.pattern})\\b`, 'gi') }));
  const only = rules.only.map((rule) => ({ ...rule, regex: new RegExp(rule.pattern, 'g') }));
  const known = new Map();

  const ruleOfName = (name) => {
    if (!known.has(name)) known.set(name, find(name));
    return known.get(name);
  };
  const find = (name) => {
    const bare = name.replace(/^#/, '');
    if (byName.has(bare)) return byName.get(bare);
    const words = parts(bare);
    const line = ` ${words.join(' ')} `;
    return (
      stems.find(({ stem }) => words.some((word) => word.startsWith(stem))) ??
      runs.find(({ text }) => line.includes(text))
    );
  };
  return (file, text) => {
    const kind = kindOf(file);
    if (!kind) return [];
    const { names, prose, texts } = read(file, kind, text, rules.limits);
    const findings = [];
    const add = (rule, line, found, use) => findings.push({ file, line, rule, found, use });

    const ofFile = ruleOfName(basename(file).replace(/\..*$/, ''));
    if (ofFile) add(idOf(ofFile), 1, `the file name ${basename(file)}`, ofFile.use);
    for (const { text: name, line } of names) {
      const rule = ruleOfName(name);
      if (rule) add(idOf(rule), line, name, rule.use);
    }
    for (const block of [...prose, ...texts]) {
      const flat = withoutCode(block.text);
      const oneLine = flat.replaceAll('\n', ' ');
      for (const { id, regex, use } of phrases)
        for (const match of oneLine.matchAll(regex))
          add(id, block.line + flat.slice(0, match.index).split('\n').length - 1, match[0].trim(), use);
    }
    for (const block of prose) {
      for (const sentence of sentences(block)) {
        const count = wordCount(sentence.text);
        if (count > block.limit)
          add(
            kind === 'markdown' ? 'long-sentence' : 'long-comment',
            sentence.line,
            `${count} words: ${sentence.text.slice(0, 60)} …`,
            `at most ${block.limit} words in a sentence`,
          );
      }
    }
    if (kind === 'script' && !/\.spec\.|\.fixture\.|^(?:\.\/)?test\//.test(file))
      for (const { files, regex, use } of only)
        if (!matchesAny(file, files))
          for (const block of [...names, ...texts])
            for (const match of block.text.matchAll(regex)) add('legacy-text', block.line, match[0], use);

    return findings.filter(({ rule }) => !isAllowed(rules.allow, file, rule)).sort((a, b) => a.line - b.line);
  };
}

function isAllowed(allow, file, rule) {
  return allow.some(({ files, rules }) => matchesAny(file, files) && (rules.includes('*') || rules.includes(rule)));
}
