/** Secrets that stand in tutorials, templates and the history of the founding system. */
const WELL_KNOWN = [
  /^yuxi_know_secure_key/i,
  /change.?me/i,
  /^(?:my|your|the)?[-_ ]?(?:jwt)?[-_ ]?secret(?:[-_ ]?key)?$/i,
  /^(.{1,8})\1+$/,
];

const MIN_BYTES = 32;

/**
 * What is wrong with a signing secret, or undefined. The value itself is never part of the message.
 * Outside production a missing secret is fine: one is generated and kept in the database.
 */
export function jwtSecretProblem(secret: string | undefined, production: boolean): string | undefined {
  const remedy = "generate one with: node -p \"require('crypto').randomBytes(48).toString('base64url')\"";
  if (!secret) return production ? `JWT_SECRET must be set in production (${remedy})` : undefined;
  if (Buffer.byteLength(secret) < MIN_BYTES) return `JWT_SECRET must have at least ${MIN_BYTES} bytes (${remedy})`;
  if (WELL_KNOWN.some((pattern) => pattern.test(secret)))
    return `JWT_SECRET is a well-known or repeating value (${remedy})`;
  return undefined;
}
