import ts from 'typescript';

const LITERALS = new Set([
  ts.SyntaxKind.StringLiteral,
  ts.SyntaxKind.NoSubstitutionTemplateLiteral,
  ts.SyntaxKind.TemplateHead,
  ts.SyntaxKind.TemplateMiddle,
  ts.SyntaxKind.TemplateTail,
  ts.SyntaxKind.RegularExpressionLiteral,
]);

/** Parses TypeScript or JavaScript; the nodes know their parents. */
export function parse(file, text) {
  return ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true);
}

/** Calls `visit` for every node, outer nodes first. */
export function walk(node, visit) {
  visit(node);
  ts.forEachChild(node, (child) => walk(child, visit));
}

/**
 * Identifiers, texts and comments of a script, each as `{ text, line }`. Addresses of modules are no texts.
 * Comments on adjacent lines are one; a tag such as `@param` begins a new one.
 */
export function scriptParts(file, text) {
  const source = parse(file, text);
  const lineAt = (position) => source.getLineAndCharacterOfPosition(position).line + 1;
  const identifiers = [];
  const strings = [];
  const literals = [];
  walk(source, (node) => {
    if (ts.isIdentifier(node) || ts.isPrivateIdentifier(node))
      identifiers.push({ text: node.text, line: lineAt(node.getStart(source)) });
    if (!LITERALS.has(node.kind)) return;
    literals.push({ start: node.getStart(source), end: node.end });
    const isModule = ts.isImportDeclaration(node.parent) || ts.isExportDeclaration(node.parent);
    if (node.kind !== ts.SyntaxKind.RegularExpressionLiteral && !isModule)
      strings.push({ text: node.text, line: lineAt(node.getStart(source)) });
  });
  return { identifiers, strings, comments: comments(text, literals, lineAt) };
}

function comments(text, literals, lineAt) {
  // What looks like a comment inside a literal is blanked out, at equal length.
  let code = text;
  for (const { start, end } of literals)
    code = code.slice(0, start) + code.slice(start, end).replaceAll(/[^\n]/g, '_') + code.slice(end);
  const raw = [...code.matchAll(/\/\*[\s\S]*?\*\/|(?:\/\/[^\n]*(?:\n[ \t]*(?=\/\/))?)+/g)];
  return raw.flatMap(({ 0: found, index }) =>
    splitTags({
      text: found.replaceAll(/^\s*(?:\/\*\*?|\*\/|\*(?!\/)|\/\/+)[ \t]?|\s*\*\/$/gm, ''),
      line: lineAt(index),
    }),
  );
}

/** Comments of a file whose comments begin with `mark`: Lua, YAML, shell. */
export function markedComments(text, mark) {
  const found = [];
  text.split('\n').forEach((raw, index) => {
    const comment = new RegExp(`(?:^|\\s)${mark}+(?:\\s*[A-Z_]+=.*?${mark})?\\s?(.*)$`).exec(raw);
    if (!comment || raw.startsWith('#!')) return;
    // `# NAME=value  # what it is` is a comment of its own.
    const whole = raw.trimStart().startsWith(mark) && !/^\s*#\s*[A-Z_]+=/.test(raw);
    const last = found.at(-1);
    if (whole && last?.whole && last.line + last.text.split('\n').length === index + 1) last.text += `\n${comment[1]}`;
    else found.push({ text: comment[1], line: index + 1, whole });
  });
  return found;
}

function splitTags({ text, line }) {
  const blocks = [];
  text.split('\n').forEach((part, index) => {
    const tag = /^\s*@\w+\s?/.exec(part)?.[0];
    if (blocks.length === 0 || tag !== undefined || /^\s*[-*] /.test(part))
      blocks.push({ text: part.slice(tag?.length ?? 0), line: line + index });
    else blocks.at(-1).text += `\n${part}`;
  });
  return blocks.filter((block) => block.text.trim() !== '');
}
