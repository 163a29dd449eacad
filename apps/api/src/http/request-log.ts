import { Inject, Injectable, Logger, type OnModuleInit } from '@nestjs/common';
import type { ConfigType } from '@nestjs/config';
import { HttpAdapterHost } from '@nestjs/core';
import { gauge, histogram, METRICS, type MetricsRegistry } from '@yuxi/observability';
import { httpConfig } from '@yuxi/platform';
import type { FastifyInstance } from 'fastify';
import { VERSION } from '../system/version.js';

const BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];

/** How long answers take, by route; and a line in the log for each request where `YUXI_ACCESS_LOG` is on. */
@Injectable()
export class RequestLog implements OnModuleInit {
  private readonly logger = new Logger('Access');

  constructor(
    private readonly host: HttpAdapterHost,
    @Inject(METRICS) private readonly registry: MetricsRegistry,
    @Inject(httpConfig.KEY) private readonly config: ConfigType<typeof httpConfig>,
  ) {}

  onModuleInit(): void {
    const { registry, config, logger } = this;
    gauge(registry, {
      name: 'yuxi_build_info',
      help: 'Always 1; the labels say what runs',
      labelNames: ['version', 'node'],
    }).set({ version: VERSION, node: process.versions.node }, 1);
    const seconds = histogram(registry, {
      name: 'yuxi_http_request_duration_seconds',
      help: 'From the first byte of a request to the last of its answer',
      labelNames: ['route', 'method', 'status'],
      buckets: BUCKETS,
    });
    this.host.httpAdapter.getInstance<FastifyInstance>().addHook('onResponse', (request, reply, done) => {
      const { method } = request;
      const status = reply.statusCode;
      // By the pattern of the route: the paths themselves are without number.
      seconds.observe({ route: request.routeOptions.url ?? 'none', method, status }, reply.elapsedTime / 1000);
      if (config.accessLog) {
        // Without the query, which may hold what nobody else should read.
        const [path] = request.url.split('?', 1);
        logger.log(`${method} ${path} ${status}`, { method, path, status, ms: Math.round(reply.elapsedTime) });
      }
      done();
    });
  }
}
