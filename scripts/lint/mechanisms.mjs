import ts from 'typescript';
import { matchesAny } from './files.mjs';
import { walk } from './source.mjs';

/** Names of functions and types that a file declares at any depth, with the lines. A method has its class as context, so it does not count. */
function declarations(source) {
  const found = [];
  const add = (node, name) =>
    found.push({ name, line: source.getLineAndCharacterOfPosition(node.getStart(source)).line + 1 });
  walk(source, (node) => {
    if (ts.isFunctionDeclaration(node) && node.name) add(node, node.name.text);
    if (ts.isVariableDeclaration(node) && ts.isIdentifier(node.name) && node.initializer)
      if (ts.isArrowFunction(node.initializer) || ts.isFunctionExpression(node.initializer)) add(node, node.name.text);
    if (ts.isTypeAliasDeclaration(node) || ts.isInterfaceDeclaration(node) || ts.isClassDeclaration(node))
      if (node.name) add(node, node.name.text);
  });
  return found;
}

/** Code outside of comments, at equal length, so that positions stay. */
function withoutComments(text) {
  return text.replaceAll(/\/\*[\s\S]*?\*\/|(?<=^|\s)\/\/.*/gm, (comment) => comment.replaceAll(/[^\n]/g, ' '));
}

/** Second definitions of what has one home, tests left out. `files` are `{ file, text, source }`. */
export function mechanismFindings(rules, files) {
  const findings = [];
  const used = new Set();
  for (const { file, text, source } of files) {
    if (/\.(?:spec|fixture)\.ts$/.test(file)) continue;
    const declared = declarations(source);
    const code = withoutComments(text);
    for (const rule of rules) {
      if (matchesAny(file, rule.home) || !matchesAny(file, rule.in)) continue;
      const excused = rule.except.find((exception) => matchesAny(file, [exception.file]));
      const hits = [];
      for (const { name, line } of declared) if (rule.declares.includes(name)) hits.push({ line, found: name });
      for (const pattern of rule.patterns)
        for (const match of code.matchAll(new RegExp(pattern, 'g')))
          hits.push({ line: code.slice(0, match.index).split('\n').length, found: match[0] });
      if (excused && hits.length > 0) used.add(excused);
      else
        for (const hit of hits)
          findings.push({ file, ...hit, rule: 'one-home', use: `${rule.mechanism}: use ${rule.home.join(' or ')}` });
    }
  }
  return { findings, used };
}

/** Exceptions of rules that no file needs any more. */
export function unusedExceptions(rules, used) {
  return rules.flatMap(({ mechanism, except }) =>
    except
      .filter((exception) => !used.has(exception))
      .map(({ file }) => ({
        file,
        line: 1,
        rule: 'unused-exception',
        found: mechanism,
        use: 'delete the exception from docs/mechanisms.json',
      })),
  );
}

/** Types of `declaredOnce` that more than one file declares. */
export function declaredTwice(names, files) {
  const places = new Map(names.map((name) => [name, []]));
  for (const { file, source } of files)
    for (const statement of source.statements) {
      const isType =
        ts.isTypeAliasDeclaration(statement) ||
        ts.isInterfaceDeclaration(statement) ||
        ts.isClassDeclaration(statement);
      const place = isType ? places.get(statement.name?.text) : undefined;
      place?.push({ file, line: source.getLineAndCharacterOfPosition(statement.getStart(source)).line + 1 });
    }
  return [...places].flatMap(([name, found]) =>
    found.slice(1).map(({ file, line }) => ({
      file,
      line,
      rule: 'declared-once',
      found: name,
      use: `declared in ${found[0].file}, too: import it`,
    })),
  );
}
