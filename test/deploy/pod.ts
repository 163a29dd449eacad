import { spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { eventually, freePort, temporaryFolder } from '@yuxi/testing';
import type { Container, Manifest, Volume } from './manifests.js';

export interface Result {
  status: number | null;
  /** What it wrote to both outputs. */
  output: string;
}

export interface Running extends Result {
  pid: number;
  stop(): Promise<void>;
}

/**
 * A container of a manifest on this machine. Its volumes are folders, and its command lines are those of the manifest. Only the mount paths
 * and one port are replaced.
 */
export class LocalContainer {
  readonly folders = new Map<string, string>();
  port = 0;

  private constructor(
    private readonly container: Container,
    private readonly portOfManifest: number | undefined,
  ) {}

  /** @param secrets what the Secrets have, by name and key */
  static async make(
    manifests: readonly Manifest[],
    container: Container,
    volumes: readonly Volume[],
    secrets: Readonly<Record<string, Record<string, string>>>,
  ): Promise<LocalContainer> {
    const made = new LocalContainer(container, container.ports?.[0]?.containerPort);
    made.port = await freePort();
    const root = temporaryFolder('pod');
    for (const { name, mountPath } of container.volumeMounts ?? []) {
      const folder = join(root, name);
      mkdirSync(folder);
      made.folders.set(mountPath, folder);
    }
    for (const { name, mountPath } of container.volumeMounts ?? [])
      for (const [file, content] of Object.entries(contentOf(volumes.find((volume) => volume.name === name))))
        writeFileSync(join(made.folders.get(mountPath)!, file), content);
    return made;

    function contentOf(volume: Volume | undefined): Record<string, string> {
      const { configMap, secret } = volume ?? {};
      if (secret) {
        const data = secrets[secret.secretName] ?? {};
        return Object.fromEntries((secret.items ?? []).map(({ key, path }) => [path, data[key] ?? '']));
      }
      if (!configMap) return {};
      const found = manifests.find(({ kind, metadata }) => kind === 'ConfigMap' && metadata.name === configMap.name);
      if (!found) throw new Error(`ConfigMap ${configMap.name} is not there: the pod would wait in ContainerCreating`);
      return Object.fromEntries(Object.entries(found.data ?? {}).map(([key, text]) => [key, made.local(text)]));
    }
  }

  /** A text of the manifest with the paths and the port of this machine. */
  local(text: string): string {
    // Longest first: a path may begin like another one.
    const paths = [...this.folders].sort(([a], [b]) => b.length - a.length);
    const moved = paths.reduce((result, [path, folder]) => result.replaceAll(path, folder), text);
    return this.portOfManifest ? moved.replaceAll(String(this.portOfManifest), String(this.port)) : moved;
  }

  /** Runs a command line of the manifest to its end. */
  async run(command: readonly string[], env: Record<string, string> = {}): Promise<Result> {
    const { result, exited } = this.#spawn(command, env);
    await exited;
    return result;
  }

  /** Starts the container's command and waits for a text in its output. */
  async start(ready: string): Promise<Running> {
    const { result, exited, pid, kill } = this.#spawn(this.container.command ?? [], {});
    const stop = async (): Promise<void> => {
      kill();
      await exited;
    };
    try {
      await eventually(() => result.output.includes(ready) || result.status !== null, { describe: ready });
      if (result.status !== null) throw new Error(`ended with ${result.status}: ${result.output}`);
    } catch (error) {
      await stop();
      throw error;
    }
    return Object.assign(result, { pid, stop });
  }

  #spawn([program, ...args]: readonly string[], env: Record<string, string>) {
    const child = spawn(
      program!,
      args.map((arg) => this.local(arg)),
      { env: { PATH: process.env['PATH'] ?? '', ...env }, stdio: ['ignore', 'pipe', 'pipe'] },
    );
    const result: Result = { status: null, output: '' };
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text: string) => (result.output += text));
    const exited = new Promise<void>((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (code, signal) => {
        result.status = code ?? (signal ? 128 : 1);
        resolve();
      });
    });
    return { result, exited, pid: child.pid!, kill: () => child.kill('SIGTERM') };
  }
}
