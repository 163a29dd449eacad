import type { Command, Redis } from 'ioredis';
import { isMoved, RedisUnavailableError, unavailableReason } from './redis.errors.js';
import type { RedisClient } from './redis.tokens.js';

export interface GuardOptions {
  /** Milliseconds allowed for this command now; `undefined`: no limit. */
  timeoutOf(command: Command): number | undefined;
  /** Called for each failure that is about availability. */
  onUnavailable(reason: string): void;
  /** The reason to report when the error of the command says only that there is no connection. */
  knownReason(): string | undefined;
}

/**
 * ioredis sends these by itself after a reconnection and ignores their answers. A connection that fails again at that
 * moment would end the process with an unhandled rejection. Other callers still get theirs.
 */
const SENT_BY_IOREDIS: ReadonlySet<string> = new Set(['subscribe', 'psubscribe', 'ssubscribe', 'select']);

type Send = (command: Command, stream?: unknown, node?: unknown) => unknown;

/**
 * Gives every command a timeout, and repeats it once when a reconnection may reach the right server. Turns
 * unavailability into {@link RedisUnavailableError}, and removes arguments (passwords, contents) from errors.
 */
export function guardCommands(client: RedisClient, options: GuardOptions): void {
  const send = client.sendCommand.bind(client) as Send;
  const guarded: Send = (command, stream, node) => {
    if (SENT_BY_IOREDIS.has(command.name)) command.promise.catch(() => undefined);
    watch(client, command, options, stream === undefined ? () => send(command) : undefined);
    return send(command, stream, node);
  };
  client.sendCommand = guarded as RedisClient['sendCommand'];
}

function watch(client: RedisClient, command: Command, options: GuardOptions, resend: (() => void) | undefined): void {
  const { resolve, reject } = command;
  let repeat = client.isCluster ? undefined : resend;
  let refusal: Error | undefined;

  const settle = () => {
    clearTimeout(timer);
    if (refusal) client.off('ready', again);
  };
  const fail = (error: Error) => {
    settle();
    reject(translate(client, command, error, options));
  };
  const again = () => resend?.();
  // Replies that arrived while this process was busy are read first.
  const expire = () =>
    setImmediate(() => {
      if (!command.isSettled) fail(refusal ?? new Error('Command timed out'));
    });
  const allowed = options.timeoutOf(command);
  const timer = allowed === undefined ? undefined : setTimeout(expire, allowed);

  command.resolve = (value: unknown) => {
    settle();
    return resolve(value);
  };
  command.reject = (error) => {
    if (repeat && timer && isMoved(error) && isReconnecting(client)) {
      repeat = undefined;
      refusal = error;
      client.once('ready', again);
    } else fail(error);
  };
}

/** Whether ioredis has just ended the stream because of the reply. */
function isReconnecting(client: RedisClient): boolean {
  return !client.isCluster && !(client as Redis).stream.writable;
}

function translate(client: RedisClient, command: Command, error: Error, options: GuardOptions): Error {
  // ioredis attaches name and arguments to error replies; those of AUTH and HELLO hold the password.
  if ('command' in error) error.command = { name: command.name };
  const reason = unavailableReason(error);
  // Otherwise ioredis would continue in database 0.
  if (reason === 'bad-db') setImmediate(() => client.disconnect(true));
  if (reason === undefined) return error;
  options.onUnavailable(reason);
  // ioredis reads the original error to decide whether it sends a pipeline on a Cluster again.
  if (client.isCluster && command.pipelineIndex !== undefined) return error;
  if (error instanceof RedisUnavailableError) return error;
  return new RedisUnavailableError(reason === 'closed' ? (options.knownReason() ?? reason) : reason, error);
}
