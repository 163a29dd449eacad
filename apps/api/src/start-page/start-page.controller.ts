import { Controller, Get, Inject, Req, Res } from '@nestjs/common';
import type { ConfigType } from '@nestjs/config';
import { ApiExcludeController } from '@nestjs/swagger';
import { within } from '@yuxi/core';
import { httpConfig } from '@yuxi/platform';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { FirstRun, Public } from '../auth/index.js';
import { singlePagePolicy } from '../http/index.js';
import { STYLE, toHtml } from './start-page.html.js';
import { type Administrator, startPage, toText } from './start-page.js';

/** Longest wait for the database, milliseconds. */
const DATABASE_TIMEOUT = 1000;
const HTML_HEADERS = {
  'content-type': 'text/html; charset=utf-8',
  'content-security-policy': singlePagePolicy(STYLE),
};
/** A name or an address, with or without a port. Other `Host` values are not copied to the page. */
const HOST = /^(?:[a-z0-9](?:[a-z0-9._-]{0,252})|\[[0-9a-f:.]{2,45}\])(?::\d{1,5})?$/i;

/**
 * The page at the root URL: HTML for browsers, text for other clients. It is for people, so the OpenAPI document omits it.
 *
 * It shows commands instead of forms. If the API accepted forms, another site could submit them, too.
 */
@ApiExcludeController()
@Public()
@Controller()
export class StartPageController {
  #query: Promise<Administrator> | undefined;

  constructor(
    private readonly firstRun: FirstRun,
    @Inject(httpConfig.KEY) private readonly config: ConfigType<typeof httpConfig>,
  ) {}

  @Get()
  async show(@Req() request: FastifyRequest, @Res({ passthrough: true }) reply: FastifyReply): Promise<string> {
    const url = urlOf(request);
    const page = startPage({
      url,
      administrator: await this.#administrator(),
      needsSetupToken: this.firstRun.needsSetupToken,
      reference: !this.config.production,
    });
    void reply.header('vary', 'accept');
    if (request.headers.accept?.includes('text/html')) {
      void reply.headers(HTML_HEADERS);
      return toHtml(page);
    }
    void reply.header('content-type', 'text/plain; charset=utf-8');
    return toText(page, url);
  }

  /** Concurrent requests share one query, so that queries do not pile up while the database is unavailable. */
  async #administrator(): Promise<Administrator> {
    this.#query ??= this.#findAdministrator().finally(() => (this.#query = undefined));
    return within(DATABASE_TIMEOUT, this.#query, () => new Error('timeout')).catch(() => 'unknown');
  }

  async #findAdministrator(): Promise<Administrator> {
    return (await this.firstRun.isOpen()) ? 'missing' : 'present';
  }
}

/** The URL by which the client calls the API. Only the text of the page uses it, so the header of a proxy is enough. */
function urlOf({ headers, socket }: FastifyRequest): string {
  const scheme = /^https(?:,|$)/.test(String(headers['x-forwarded-proto'])) ? 'https' : 'http';
  const host = headers.host !== undefined && HOST.test(headers.host) ? headers.host : `localhost:${socket.localPort}`;
  return `${scheme}://${host}`;
}
