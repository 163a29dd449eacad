import { isIP } from 'node:net';
import { isInside } from './addresses.js';

/** Names that a resolver inside answers, if any does. */
const INSIDE_NAMES = /(^|\.)(localhost|local|internal|intranet|lan|home|corp|home\.arpa)$/;
const LISTED = /^(\[[0-9a-f:.]+\]|[a-z0-9]([a-z0-9.-]*[a-z0-9])?)(:\d{1,5})?$/;
const LONGEST = 2048;

/**
 * Where models may be. With a list only there, whatever the address is, and without TLS if one likes; without one everywhere on the
 * public internet by https.
 */
export class ModelHosts {
  private constructor(private readonly listed: ReadonlySet<string>) {}

  /** @param text hosts with or without a port, by comma: `models.example.com, 10.0.0.7:8080` */
  static parse(text: string | undefined): { hosts: ModelHosts; problems: string[] } {
    const entries = (text ?? '')
      .split(',')
      .map((entry) => entry.trim().toLowerCase())
      .filter(Boolean);
    const problems = entries
      .filter((entry) => !LISTED.test(entry))
      .map((entry) => `${JSON.stringify(entry.slice(0, 80))} is not a host, or host:port`);
    return { hosts: new ModelHosts(new Set(entries)), problems };
  }

  /** What forbids this base URL, or `undefined`. A name that leads inside is found only when it is connected to. */
  problemOf(text: string): string | undefined {
    // A parser of URLs drops line breaks and turns backslashes around.
    if (text.length > LONGEST || /[\s\\\p{Cc}]/u.test(text) || !URL.canParse(text))
      return 'must be a URL such as https://api.example.com/v1';
    const url = new URL(text);
    if (!['http:', 'https:'].includes(url.protocol)) return 'must begin with https://';
    if (url.username || url.password) return 'must not hold a user or a password; give the key by embedding_api_key';
    if (url.search || url.hash) return 'must not have a query or a fragment';
    if (this.isListed(url)) return undefined;
    if (this.listed.size > 0) return 'must be at a host of ALLOWED_MODEL_HOSTS';
    const host = url.hostname.replace(/^\[|\]$/g, '').replace(/\.$/, '');
    const leadsInside = isIP(host) ? isInside(host) : INSIDE_NAMES.test(host) || !host.includes('.');
    if (leadsInside) return 'blocked address: list the host in ALLOWED_MODEL_HOSTS if models are meant to be there';
    return url.protocol === 'https:'
      ? undefined
      : 'must begin with https://, unless the host is in ALLOWED_MODEL_HOSTS';
  }

  /** Whether the address behind the name does not matter. */
  isListed({ hostname, host, protocol, port }: URL): boolean {
    const full = port ? host : `${host}:${protocol === 'https:' ? 443 : 80}`;
    return this.listed.has(hostname) || this.listed.has(full);
  }
}
