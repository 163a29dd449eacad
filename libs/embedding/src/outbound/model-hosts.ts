import { isIP } from 'node:net';
import { isPublicAddress } from './public-addresses.js';

/** Names that only a resolver of a private network can resolve. */
const PRIVATE_NAMES = /(^|\.)(localhost|local|internal|intranet|lan|home|corp|home\.arpa)$/;
const LISTED = /^(\[[0-9a-f:.]+\]|[a-z0-9]([a-z0-9.-]*[a-z0-9])?)(:\d{1,5})?$/;
const LONGEST = 2048;

/**
 * The hosts at which models may be used. With a list: only these hosts, at any address, also without TLS. Without a list: every host on the
 * public internet, by https.
 */
export class ModelHosts {
  private constructor(private readonly listed: ReadonlySet<string>) {}

  /** @param text hosts with or without a port, separated by commas: `models.example.com, 10.0.0.7:8080` */
  static parse(text: string | undefined): { hosts: ModelHosts; problems: string[] } {
    const entries = (text ?? '')
      .split(',')
      .map((entry) => entry.trim().toLowerCase())
      .filter(Boolean);
    const problems = entries
      .filter((entry) => !LISTED.test(entry))
      .map((entry) => `${JSON.stringify(entry.slice(0, 80))} must be a host or host:port`);
    return { hosts: new ModelHosts(new Set(entries)), problems };
  }

  /** The rule that a base URL breaks, or `undefined`. The address of a name is checked later, for each connection. */
  problemOf(text: string): string | undefined {
    // Checked first, because `URL` removes line breaks and replaces backslashes.
    if (text.length > LONGEST || /[\s\\\p{Cc}]/u.test(text) || !URL.canParse(text))
      return 'must be a URL, for example https://api.example.com/v1';
    const url = new URL(text);
    if (!['http:', 'https:'].includes(url.protocol)) return 'must begin with https://';
    if (url.username || url.password) return 'must not contain a user or a password; use embedding_api_key for the key';
    if (url.search || url.hash) return 'must not have a query or a fragment';
    if (this.isListed(url)) return undefined;
    if (this.listed.size > 0) return 'must have a host that is listed in ALLOWED_MODEL_HOSTS';
    const host = url.hostname.replace(/^\[|\]$/g, '').replace(/\.$/, '');
    const isPublic = isIP(host) ? isPublicAddress(host) : !PRIVATE_NAMES.test(host) && host.includes('.');
    if (!isPublic) return 'blocked address: must be public, or the host must be listed in ALLOWED_MODEL_HOSTS';
    return url.protocol === 'https:'
      ? undefined
      : 'must begin with https://, unless the host is listed in ALLOWED_MODEL_HOSTS';
  }

  /** Whether the host is listed, so that its address is not checked. */
  isListed({ hostname, host, protocol, port }: URL): boolean {
    const full = port ? host : `${host}:${protocol === 'https:' ? 443 : 80}`;
    return this.listed.has(hostname) || this.listed.has(full);
  }
}
