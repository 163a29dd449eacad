import { createHash } from 'node:crypto';

const STRICT_POLICY = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
/** The Swagger page loads its own scripts and has inline styles. */
const PAGE_POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; " +
  "font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/**
 * Headers of every response, also of those that are written before any hook runs (malformed URL, unreadable request).
 * An API serves no documents, so nothing may be loaded, framed or sniffed.
 */
export const SECURITY_HEADERS: Readonly<Record<string, string>> = {
  'content-security-policy': STRICT_POLICY,
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'origin-agent-cluster': '?1',
  'referrer-policy': 'no-referrer',
  'strict-transport-security': 'max-age=31536000; includeSubDomains',
  'x-content-type-options': 'nosniff',
  'x-dns-prefetch-control': 'off',
  'x-download-options': 'noopen',
  'x-frame-options': 'DENY',
  'x-permitted-cross-domain-policies': 'none',
  'x-xss-protection': '0',
  'cache-control': 'no-store',
};

/** Policy of a page of one file: only this style, only images inside the page, no scripts, no requests. */
export function singlePagePolicy(style: string): string {
  const hash = createHash('sha256').update(style).digest('base64');
  return `${STRICT_POLICY}; style-src 'sha256-${hash}'; img-src data:`;
}

/** Headers of the response to a URL. Only the Swagger page may load its own parts. */
export function securityHeaders(url: string): Readonly<Record<string, string>> {
  if (!/^\/docs(?:[/?]|$)/.test(url)) return SECURITY_HEADERS;
  return { ...SECURITY_HEADERS, 'content-security-policy': PAGE_POLICY };
}
