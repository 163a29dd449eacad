import { Inject, Injectable, Logger, type OnModuleInit } from '@nestjs/common';
import type { ConfigType } from '@nestjs/config';
import { HttpAdapterHost } from '@nestjs/core';
import { gauge, histogram, METRICS, type MetricsRegistry } from '@yuxi/observability';
import { httpConfig } from '@yuxi/platform';
import type { FastifyInstance } from 'fastify';
import { VERSION } from '../version.js';

const BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];

/** Measures the duration of requests by route, and logs each request if `YUXI_ACCESS_LOG` is on. */
@Injectable()
export class RequestLog implements OnModuleInit {
  readonly #log = new Logger('Access');

  constructor(
    private readonly host: HttpAdapterHost,
    @Inject(METRICS) private readonly registry: MetricsRegistry,
    @Inject(httpConfig.KEY) private readonly config: ConfigType<typeof httpConfig>,
  ) {}

  onModuleInit(): void {
    const { registry, config } = this;
    gauge(registry, {
      name: 'yuxi_build_info',
      help: 'Always 1; the labels have the versions of the API and of Node',
      labelNames: ['version', 'node'],
    }).set({ version: VERSION, node: process.versions.node }, 1);
    const seconds = histogram(registry, {
      name: 'yuxi_http_request_duration_seconds',
      help: 'From the first byte of a request to the last byte of its response',
      labelNames: ['route', 'method', 'status'],
      buckets: BUCKETS,
    });
    this.host.httpAdapter.getInstance<FastifyInstance>().addHook('onResponse', (request, reply, done) => {
      const { method } = request;
      const status = reply.statusCode;
      // By the pattern of the route: there is no limit to the number of paths.
      seconds.observe({ route: request.routeOptions.url ?? 'none', method, status }, reply.elapsedTime / 1000);
      if (config.accessLog) {
        // Without the query, which may have confidential values.
        const [path] = request.url.split('?', 1);
        this.#log.log(`${method} ${path} ${status}`, { method, path, status, ms: Math.round(reply.elapsedTime) });
      }
      done();
    });
  }
}
