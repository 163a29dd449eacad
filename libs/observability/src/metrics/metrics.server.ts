import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Inject, Injectable, Logger } from '@nestjs/common';
import type { OnApplicationShutdown, OnModuleInit } from '@nestjs/common';
import type { Registry } from 'prom-client';
import { YuxiError } from '@yuxi/core';
import { METRICS } from './metrics.js';
import { checkPort, MODULE_OPTIONS_TOKEN } from './metrics.options.js';
import type { MetricsOptions } from './metrics.options.js';

/** Serves `GET /metrics` beside the application, so that the public port never shows it. */
@Injectable()
export class MetricsServer implements OnModuleInit, OnApplicationShutdown {
  private readonly logger = new Logger(MetricsServer.name);
  private server?: Server;

  constructor(
    @Inject(METRICS) private readonly registry: Registry,
    @Inject(MODULE_OPTIONS_TOKEN) private readonly options: MetricsOptions,
  ) {}

  /** Port in use, or undefined when metrics are not served. */
  get port(): number | undefined {
    return (this.server?.address() as AddressInfo | null | undefined)?.port;
  }

  async onModuleInit(): Promise<void> {
    if (this.options.port === undefined) return;
    const port = checkPort(this.options.port);
    const server = createServer((request, response) => void this.answer(request, response));
    await new Promise<void>((resolve, reject) => {
      server.once('error', (error: NodeJS.ErrnoException) => reject(listenError(port, error)));
      server.listen(port, this.options.host, resolve);
    });
    // The application decides how long the process lives, not its metrics.
    this.server = server.unref();
    this.logger.log(`Metrics on port ${this.port}/metrics`);
  }

  /** The last hook, so that a scrape during the shutdown still sees the drain. */
  async onApplicationShutdown(): Promise<void> {
    const { server } = this;
    if (!server) return;
    this.server = undefined;
    await new Promise<void>((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  }

  private async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = request.url?.split('?', 1)[0];
    if (path !== '/metrics') return end(response, 404, 'Not found: metrics are at /metrics\n');
    if (request.method !== 'GET' && request.method !== 'HEAD') return end(response, 405, 'Use GET\n');
    try {
      end(response, 200, await this.registry.metrics(), this.registry.contentType);
    } catch (error) {
      this.logger.error('A metric could not be collected', error);
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
