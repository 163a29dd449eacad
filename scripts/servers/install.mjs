import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const DEBIAN_PACKAGES = { redis: ['redis-server', 'redis-sentinel'], postgresql: ['postgresql'] };
const BREW_PACKAGES = { redis: ['redis'], postgresql: ['postgresql@17'] };
// Debian runs this program before a package starts its service; exit code 101 prevents the start.
const POLICY = '/usr/sbin/policy-rc.d';

/** Runs a command; its output goes to standard error. @returns whether it succeeded */
function run(command, args, options = {}) {
  const { status } = spawnSync(command, args, { stdio: ['ignore', 2, 2], ...options });
  return status === 0;
}

function works(command, args) {
  return spawnSync(command, args, { stdio: 'ignore' }).status === 0;
}

/** Prefix of a command that needs root; undefined when root is not available. */
export function asRoot() {
  if (process.getuid?.() === 0) return [];
  return works('sudo', ['-n', 'true']) ? ['sudo', '-n'] : undefined;
}

/** `apt-get`, `brew`, or undefined when neither can be used. */
export function whichInstaller() {
  if (works('apt-get', ['--version']) && asRoot()) return 'apt-get';
  return works('brew', ['--version']) ? 'brew' : undefined;
}

/** Runs a command as root. The environment makes apt ask no questions. */
function runAsRoot(...command) {
  const [first, ...rest] = [...(asRoot() ?? []), 'env', 'DEBIAN_FRONTEND=noninteractive', ...command];
  return run(first, rest);
}

/** Runs `body`; packages that it installs do not start their services. */
function withoutServiceStarts(body) {
  if (existsSync(POLICY)) return body();
  const folder = mkdtempSync(join(tmpdir(), 'yuxi-install-'));
  const script = join(folder, 'policy-rc.d');
  writeFileSync(script, '#!/bin/sh\nexit 101\n');
  chmodSync(script, 0o755);
  runAsRoot('cp', script, POLICY);
  try {
    return body();
  } finally {
    runAsRoot('rm', '-f', POLICY);
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Installs the Debian packages of the named servers. */
export function installServersWithApt(servers) {
  installWithApt(servers.flatMap((server) => DEBIAN_PACKAGES[server]));
}

/** Installs Debian packages, without starting their services. */
export function installWithApt(packages) {
  runAsRoot('apt-get', 'update', '-q');
  withoutServiceStarts(() => {
    runAsRoot('apt-get', 'install', '-y', '-q', '--no-install-recommends', ...packages);
  });
}

/** Installs the Homebrew formulas of the named servers. Homebrew does not start services. */
export function installWithBrew(servers) {
  run('brew', ['install', ...servers.flatMap((server) => BREW_PACKAGES[server])]);
}
