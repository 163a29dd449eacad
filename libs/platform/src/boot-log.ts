import { Log } from '@yuxi/observability';

/** Nest names every module and every route while it starts; an operator looks for other lines. */
const CHATTER = new Set(['InstanceLoader', 'RoutesResolver', 'RouterExplorer', 'NestFactory', 'NestApplication']);

/**
 * The log of an application, with what Nest says of its own start at `debug`. On a terminal, so is what the services say at `info` until
 * {@link started}: a person sees the notices and what is wrong.
 */
export class BootLog extends Log {
  #started = false;

  started(): void {
    this.#started = true;
  }

  override log(message: unknown, ...params: unknown[]): void {
    const context = params.at(-1);
    const chatter = typeof context === 'string' && CHATTER.has(context);
    if (chatter || (this.pretty && !this.#started)) super.debug(message, ...params);
    else super.log(message, ...params);
  }

  /** Nest writes what made the start fail before it passes it on; {@link boot} writes it then. */
  override error(message: unknown, ...params: unknown[]): void {
    if (this.#started || params.at(-1) !== 'ExceptionHandler') super.error(message, ...params);
    else super.debug(message, ...params);
  }
}
