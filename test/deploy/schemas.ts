import { join } from 'node:path';
import ts from 'typescript';
import type { Manifest } from './manifests.js';

interface Model {
  validate(): void;
}

/** What a cluster refuses of an object by its schema: wrong types, missing fields, values out of a list. Unknown fields pass. */
export async function schemaProblem(manifest: Manifest): Promise<string | undefined> {
  const models = (await import(`kubernetes-models/${manifest.apiVersion}`)) as Record<
    string,
    new (data: unknown) => Model
  >;
  const Kind = models[manifest.kind];
  if (!Kind) return `${manifest.apiVersion} has no ${manifest.kind}`;
  try {
    new Kind(manifest).validate();
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

/** `networking.k8s.io/v1` is `networking/v1` there, and `v1` is `core/v1`. */
function typesOf(apiVersion: string): string {
  const [group, version] = apiVersion.includes('/') ? apiVersion.split('/') : ['core', apiVersion];
  return `kubernetes-types/${group!.split('.')[0]}/${version}`;
}

/**
 * Checks the manifests as literals of the types of Kubernetes, with the compiler. It also finds unknown fields, which older versions of a
 * cluster ignore without a message.
 * @returns the messages of the compiler, each with its object
 */
export function typeProblems(manifests: readonly Manifest[]): string[] {
  const lines = manifests.map(
    (manifest, i) =>
      `export const o${i}: import('${typesOf(manifest.apiVersion)}').${manifest.kind} = ${JSON.stringify(manifest)};`,
  );
  // In this folder, so that its imports are found; it is never written.
  const path = join(import.meta.dirname, 'manifests.made.ts');
  const options: ts.CompilerOptions = {
    strict: true,
    noEmit: true,
    types: [],
    target: ts.ScriptTarget.ES2022,
    module: ts.ModuleKind.ESNext,
    moduleResolution: ts.ModuleResolutionKind.Bundler,
    skipLibCheck: true,
  };
  const host = ts.createCompilerHost(options);
  const disk = { ...host };
  host.fileExists = (name) => name === path || disk.fileExists(name);
  host.readFile = (name) => (name === path ? lines.join('\n') : disk.readFile(name));
  host.getSourceFile = (name, ...rest) =>
    name === path ? ts.createSourceFile(name, lines.join('\n'), rest[0]) : disk.getSourceFile(name, ...rest);
  const program = ts.createProgram([path], options, host);
  return ts.getPreEmitDiagnostics(program).map(({ file, start = 0, code, messageText }) => {
    const line = file?.fileName === path ? file.getLineAndCharacterOfPosition(start).line : -1;
    const { kind, metadata } = manifests[line] ?? { kind: '', metadata: { name: '' } };
    return `${kind} ${metadata.name}: TS${code} ${ts.flattenDiagnosticMessageText(messageText, ' ')}`;
  });
}
