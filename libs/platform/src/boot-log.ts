import { Log } from '@yuxi/observability';

/** Nest names every module and every route while it starts; an operator looks for other lines. */
const CHATTER = new Set(['InstanceLoader', 'RoutesResolver', 'RouterExplorer', 'NestFactory', 'NestApplication']);

/** The log of an application, with what Nest says of its own start at `debug`. */
export class BootLog extends Log {
  override log(message: unknown, ...params: unknown[]): void {
    const context = params.at(-1);
    if (typeof context === 'string' && CHATTER.has(context)) super.debug(message, ...params);
    else super.log(message, ...params);
  }
}
