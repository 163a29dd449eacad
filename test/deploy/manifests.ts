import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse, parseAllDocuments } from 'yaml';

export interface Probe {
  httpGet?: { path: string; port: string };
  exec?: { command: string[] };
  tcpSocket?: object;
}

export interface Container {
  name: string;
  image: string;
  command?: string[];
  args?: string[];
  ports?: { name: string; containerPort: number }[];
  env?: { name: string; value?: string; valueFrom?: object }[];
  envFrom?: { configMapRef?: { name: string } }[];
  resources?: { limits?: Record<string, string>; requests?: Record<string, string> };
  securityContext?: Record<string, unknown>;
  livenessProbe?: Probe;
  readinessProbe?: Probe;
  startupProbe?: Probe;
  volumeMounts?: { name: string; mountPath: string }[];
}

interface Items {
  items?: { key: string; path: string }[];
}

export interface Volume {
  name: string;
  configMap?: Items & { name: string };
  secret?: Items & { secretName: string; optional?: boolean };
  emptyDir?: { sizeLimit?: string };
  projected?: { sources: { configMap?: Items & { name: string }; secret?: Items & { name: string } }[] };
  persistentVolumeClaim?: { claimName: string };
}

export interface PodSpec {
  containers: Container[];
  initContainers?: Container[];
  volumes?: Volume[];
  serviceAccountName?: string;
  automountServiceAccountToken?: boolean;
  securityContext?: Record<string, unknown>;
  terminationGracePeriodSeconds?: number;
  topologySpreadConstraints?: { labelSelector: Selector }[];
}

export interface Selector {
  matchLabels?: Record<string, string>;
  matchExpressions?: { key: string; operator: string; values?: string[] }[];
}

interface Peer {
  podSelector?: Selector;
  namespaceSelector?: Selector;
}

export interface NetworkRule {
  from?: Peer[];
  to?: Peer[];
  ports?: { port: number; protocol: string }[];
}

export interface Manifest {
  apiVersion: string;
  kind: string;
  metadata: { name: string; namespace?: string; labels?: Record<string, string> };
  data?: Record<string, string>;
  spec?: {
    replicas?: number;
    template?: { metadata: { labels: Record<string, string> }; spec: PodSpec };
    selector?: Selector & Record<string, unknown>;
    podSelector?: Selector;
    policyTypes?: string[];
    ingress?: NetworkRule[];
    egress?: NetworkRule[];
    volumeClaimTemplates?: { metadata: { name: string } }[];
    serviceName?: string;
  };
  roleRef?: { kind: string; name: string };
  subjects?: { kind: string; name: string; namespace?: string }[];
}

/** The first release whose kustomize supports everything that the folders use. */
const OLDEST_KUBECTL = [1, 24] as const;

/** In the version of YAML that kubectl reads: `off` is false there, and 0440 is octal. */
const fromYaml = (text: string): Manifest[] =>
  parseAllDocuments(text, { version: '1.1' }).map((document) => {
    if (document.errors.length > 0) throw document.errors[0]!;
    return document.toJS() as Manifest;
  });

/** What `kubectl apply -f` sends of a file. */
export const load = (file: string): Manifest[] => fromYaml(readFileSync(file, 'utf8'));

/** The files of `k8s` that are meant for `kubectl apply -f`. */
export const PLAIN_FILES = readdirSync('k8s')
  .filter((name) => name.endsWith('.yaml') && name !== 'kustomization.yaml')
  .map((name) => join('k8s', name));

/** Whether kubectl is there and new enough. */
function kubectlWorks(): boolean {
  try {
    const { clientVersion } = JSON.parse(kubectl('version', '--client', '-o', 'json')) as {
      clientVersion: { major: string; minor: string };
    };
    const [major, minor] = [clientVersion.major, clientVersion.minor].map((text) => parseInt(text, 10));
    return major! > OLDEST_KUBECTL[0] || (major === OLDEST_KUBECTL[0] && minor! >= OLDEST_KUBECTL[1]);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw error;
  }
}

function kubectl(...args: string[]): string {
  return execFileSync('kubectl', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

/** What `kubectl kustomize` makes of a folder; undefined when kubectl is missing or too old. */
export function render(folder: string): Manifest[] | undefined {
  return kubectlWorks() ? fromYaml(kubectl('kustomize', folder)) : undefined;
}

/** What `k8s` is without kubectl: its kustomization lists plain files and changes nothing of them. */
export function base(): Manifest[] {
  const { resources, ...rest } = parse(readFileSync('k8s/kustomization.yaml', 'utf8')) as Record<string, string[]>;
  const more = Object.keys(rest).filter((key) => key !== 'apiVersion' && key !== 'kind');
  if (more.length > 0) throw new Error(`k8s/kustomization.yaml does more than list files: ${more.join(', ')}`);
  return resources!.flatMap((file) => load(join('k8s', file)));
}

/** Everything that runs pods, with the pods. */
export const workloads = (manifests: readonly Manifest[]) =>
  manifests.flatMap(({ kind, metadata, spec }) =>
    spec?.template
      ? [{ kind, name: metadata.name, labels: spec.template.metadata.labels, pod: spec.template.spec }]
      : [],
  );

export const containersOf = ({ initContainers = [], containers }: PodSpec): Container[] => [
  ...initContainers,
  ...containers,
];

/** Whether a selector takes a pod; an empty one takes all. */
export function selects(
  { matchLabels = {}, matchExpressions = [] }: Selector,
  labels: Readonly<Record<string, string>>,
): boolean {
  return (
    Object.entries(matchLabels).every(([key, value]) => labels[key] === value) &&
    matchExpressions.every(({ key, operator, values = [] }) => {
      if (operator !== 'In') throw new Error(`operator ${operator} is not known here`);
      return values.includes(labels[key] ?? '');
    })
  );
}
