import { describe, expect, it } from '@jest/globals';
import { reportSkip } from '@yuxi/testing';
import { base, load, type Manifest, PLAIN_FILES, render } from './manifests.js';
import { schemaProblem, typeProblems } from './schemas.js';

const problemsOf = async (manifests: readonly Manifest[]): Promise<string[]> => {
  const found: string[] = [];
  for (const manifest of manifests) {
    const problem = await schemaProblem(manifest);
    if (problem) found.push(problem);
  }
  return [...found, ...typeProblems(manifests)];
};

describe('schemas of Kubernetes', () => {
  it.each(PLAIN_FILES)('take %s as it is typed', async (file) => {
    const manifests = load(file);
    expect(manifests.length).toBeGreaterThan(0);
    expect(await problemsOf(manifests)).toEqual([]);
  });

  it.each(['k8s', 'k8s-production'])('take what kustomize makes of %s', async (folder) => {
    const manifests = render(folder);
    if (!manifests) return reportSkip('k8s manifests', 'kubectl 1.24 is needed; Debian 12 has 1.20');
    expect(manifests.length).toBeGreaterThanOrEqual(base().length);
    expect(await problemsOf(manifests)).toEqual([]);
  });

  const deployment = load('k8s/api.yaml').find(({ kind }) => kind === 'Deployment')!;

  it('control: a number as a text is found by the models', async () => {
    const changed = { ...deployment, spec: { ...deployment.spec, replicas: '3' as never } };
    expect(await schemaProblem(changed)).toMatch(/replicas/);
  });

  it('control: a field that does not exist is found by the types', () => {
    const [container] = deployment.spec!.template!.spec.containers;
    const { livenessProbe, ...rest } = container!;
    const containers = [{ ...rest, livenesProbe: livenessProbe }];
    const spec = { ...deployment.spec!.template!.spec, containers };
    const template = { ...deployment.spec!.template!, spec };
    const changed = { ...deployment, spec: { ...deployment.spec, template } };
    expect(typeProblems([changed]).join()).toMatch(/^Deployment yuxi-api: TS2\d+ .*livenesProbe/);
  });
});
