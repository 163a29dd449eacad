import { containersOf, type Manifest, workloads } from './manifests.js';

/** The objects that others name although nothing here is called so, but for those that are always there. */
export function unresolved(manifests: readonly Manifest[], always: readonly string[]): string[] {
  const there = new Set([...always, ...manifests.map(({ kind, metadata }) => `${kind} ${metadata.name}`)]);
  const named = [...manifests.flatMap(namedByObject), ...workloads(manifests).flatMap(({ pod }) => namedByPod(pod))];
  // A key that is missing keeps a pod waiting as an object does.
  const missing = [...named.filter((id) => !there.has(id)), ...missingKeys(manifests)];
  return [...new Set(missing)].sort();
}

function namedByObject({ kind, roleRef, subjects = [], spec }: Manifest): string[] {
  return [
    ...(roleRef ? [`${roleRef.kind} ${roleRef.name}`] : []),
    ...subjects.map((subject) => `${subject.kind} ${subject.name}`),
    ...(kind === 'StatefulSet' ? [`Service ${spec!.serviceName}`] : []),
  ];
}

function namedByPod(pod: ReturnType<typeof workloads>[number]['pod']): string[] {
  const volumes = (pod.volumes ?? []).flatMap(({ configMap, secret, persistentVolumeClaim, projected }) => [
    ...(configMap ? [`ConfigMap ${configMap.name}`] : []),
    ...(secret && !secret.optional ? [`Secret ${secret.secretName}`] : []),
    ...(persistentVolumeClaim ? [`PersistentVolumeClaim ${persistentVolumeClaim.claimName}`] : []),
    ...(projected?.sources ?? []).flatMap((source) => [
      ...(source.configMap ? [`ConfigMap ${source.configMap.name}`] : []),
      ...(source.secret ? [`Secret ${source.secret.name}`] : []),
    ]),
  ]);
  const environments = containersOf(pod).flatMap(({ envFrom = [] }) =>
    envFrom.flatMap(({ configMapRef }) => (configMapRef ? [`ConfigMap ${configMapRef.name}`] : [])),
  );
  return [...(pod.serviceAccountName ? [`ServiceAccount ${pod.serviceAccountName}`] : []), ...volumes, ...environments];
}

function missingKeys(manifests: readonly Manifest[]): string[] {
  const claims = manifests.flatMap(({ spec }) => spec?.volumeClaimTemplates ?? []).map(({ metadata }) => metadata.name);
  return workloads(manifests).flatMap(({ name, pod }) => {
    const volumes = new Set([...claims, ...(pod.volumes ?? []).map((volume) => volume.name)]);
    const mounts = containersOf(pod).flatMap(({ volumeMounts = [] }) => volumeMounts.map((mount) => mount.name));
    const keys = (pod.volumes ?? []).flatMap(({ configMap }) => {
      const map = manifests.find(({ kind, metadata }) => kind === 'ConfigMap' && metadata.name === configMap?.name);
      return (configMap?.items ?? []).flatMap(({ key }) =>
        map?.data?.[key] === undefined ? [`key ${key} of ConfigMap ${configMap!.name}`] : [],
      );
    });
    return [...mounts.filter((mount) => !volumes.has(mount)).map((mount) => `volume ${mount} of ${name}`), ...keys];
  });
}
