import ts from 'typescript';
import { walk } from './source.mjs';

/** Members whose privacy is not written as `#name`. Constructors and parameter properties have no such form. */
export function memberFindings({ file, source }, isExtended) {
  const findings = [];
  const add = (node, rule, found, use) => {
    const line = source.getLineAndCharacterOfPosition(node.getStart(source)).line + 1;
    findings.push({ file, line, rule, found, use });
  };
  walk(source, (node) => {
    if (!ts.canHaveModifiers(node)) return;
    const has = (kind) => ts.getModifiers(node)?.some((modifier) => modifier.kind === kind) ?? false;
    const isPrivate = has(ts.SyntaxKind.PrivateKeyword);
    const isProtected = has(ts.SyntaxKind.ProtectedKeyword);
    if (!isPrivate && !isProtected) return;
    const name = node.name?.getText(source) ?? 'constructor';
    if (ts.isParameter(node)) {
      if (!has(ts.SyntaxKind.ReadonlyKeyword))
        add(
          node,
          'member-readonly',
          name,
          'a parameter property is `private readonly`; a field that changes is `#name`',
        );
    } else if (isPrivate && !ts.isConstructorDeclaration(node)) {
      add(node, 'member-private', name, `write #${name}`);
    }
    const owner = node.parent?.parent && ts.isParameter(node) ? node.parent.parent : node.parent;
    if (isProtected && !has(ts.SyntaxKind.OverrideKeyword) && !isExtended(owner?.name?.text))
      add(
        node,
        'member-protected',
        name,
        'no class extends this one: write #name, or `private readonly` for a parameter',
      );
  });
  return findings;
}

/** Names of the classes that a file extends. */
export function extendedClasses(source) {
  const names = [];
  walk(source, (node) => {
    if (!ts.isClassLike(node)) return;
    for (const clause of node.heritageClauses ?? [])
      if (clause.token === ts.SyntaxKind.ExtendsKeyword)
        for (const { expression } of clause.types) {
          // `class A extends mixin(B)` extends B, too.
          walk(expression, (part) => ts.isIdentifier(part) && names.push(part.text));
        }
  });
  return names;
}
