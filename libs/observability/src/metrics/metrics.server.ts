import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { ConfigurableModuleBuilder, Inject, Injectable, Logger } from '@nestjs/common';
import type { OnApplicationShutdown, OnModuleInit } from '@nestjs/common';
import { integerOption, YuxiError } from '@yuxi/core';
import type { Registry } from 'prom-client';
import { METRICS } from './metrics.js';

export interface MetricsOptions {
  /** Port of `GET /metrics`; 0 takes any free port. Default: not served. */
  port?: number;
  /** Address to listen on. Default: all, because the scraper usually runs on another machine. */
  host?: string;
  /** Process metrics (CPU, memory, event loop lag, garbage collection). Default `true`. */
  processMetrics?: boolean;
}

export const { ConfigurableModuleClass, MODULE_OPTIONS_TOKEN, OPTIONS_TYPE } =
  new ConfigurableModuleBuilder<MetricsOptions>({ moduleName: 'YuxiMetrics' })
    .setClassMethodName('forRoot')
    .setExtras({ isGlobal: true }, (definition, extras) => ({ ...definition, global: extras.isGlobal }))
    .build();

/** Serves `GET /metrics` on its own port, so that the public port does not show it. */
@Injectable()
export class MetricsServer implements OnModuleInit, OnApplicationShutdown {
  readonly #log = new Logger(MetricsServer.name);
  #server?: Server;

  constructor(
    @Inject(METRICS) private readonly registry: Registry,
    @Inject(MODULE_OPTIONS_TOKEN) private readonly options: MetricsOptions,
  ) {}

  /** Port in use, or undefined when metrics are not served. */
  get port(): number | undefined {
    return (this.#server?.address() as AddressInfo | null | undefined)?.port;
  }

  async onModuleInit(): Promise<void> {
    if (this.options.port === undefined) return;
    const port = integerOption('METRICS_PORT', this.options.port, { min: 0, max: 65_535, where: 'MetricsModule' });
    const server = createServer((request, response) => void this.#answer(request, response));
    await new Promise<void>((resolve, reject) => {
      server.once('error', (error: NodeJS.ErrnoException) => reject(listenError(port, error)));
      server.listen(port, this.options.host, resolve);
    });
    // An open metrics port must not keep the process running.
    this.#server = server.unref();
    this.#log.log(`Metrics on port ${this.port}/metrics`);
  }

  /** In the last hook, so that metrics are available during the shutdown. */
  async onApplicationShutdown(): Promise<void> {
    const server = this.#server;
    if (!server) return;
    this.#server = undefined;
    await new Promise<void>((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = request.url?.split('?', 1)[0];
    if (path !== '/metrics') return end(response, 404, 'Not found: metrics are at /metrics\n');
    if (request.method !== 'GET' && request.method !== 'HEAD') return end(response, 405, 'Use GET\n');
    try {
      end(response, 200, await this.registry.metrics(), this.registry.contentType);
    } catch (error) {
      this.#log.error('A metric could not be collected', error);
      end(response, 500, 'A metric could not be collected: see the log\n');
    }
  }
}

function end(response: ServerResponse, status: number, body: string, type = 'text/plain; charset=utf-8'): void {
  response.writeHead(status, { 'content-type': type, 'cache-control': 'no-store' }).end(body);
}

function listenError(port: number, cause: NodeJS.ErrnoException): YuxiError {
  const why =
    cause.code === 'EADDRINUSE'
      ? 'is in use by another process: set METRICS_PORT to a free port'
      : `cannot be opened (${cause.code ?? cause.message}): set METRICS_PORT to another port`;
  return new YuxiError(`METRICS_PORT ${port} ${why}`, { code: 'METRICS_PORT_UNAVAILABLE', cause });
}
