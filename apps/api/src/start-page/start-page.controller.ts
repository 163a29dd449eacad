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

/** How long the page waits for the database, milliseconds. */
const DATABASE_WITHIN = 1000;
const HTML_HEADERS = {
  'content-type': 'text/html; charset=utf-8',
  'content-security-policy': singlePagePolicy(STYLE),
};
/** A name or an address, with or without a port; what else a client sends as its Host is not repeated. */
const HOST = /^(?:[a-z0-9](?:[a-z0-9._-]{0,252})|\[[0-9a-f:.]{2,45}\])(?::\d{1,5})?$/i;

/**
 * What a person finds who opens the address of the API: HTML for browsers, else text. A page for people is not part of the API, so the
 * OpenAPI document does not name it.
 *
 * It shows commands and has no form: a form of another site could then send them, too.
 */
@ApiExcludeController()
@Public()
@Controller()
export class StartPageController {
  #asked: Promise<Administrator> | undefined;

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

  /** However many ask at once, the database is asked once: while it is away, their questions do not pile up. */
  async #administrator(): Promise<Administrator> {
    this.#asked ??= this.#ask().finally(() => (this.#asked = undefined));
    return within(DATABASE_WITHIN, this.#asked, () => new Error('late')).catch(() => 'unknown');
  }

  async #ask(): Promise<Administrator> {
    return (await this.firstRun.isOpen()) ? 'missing' : 'present';
  }
}

/** As the client calls the API. A proxy in front that ends TLS says so; nothing but the text of the page depends on it. */
function urlOf({ headers, socket }: FastifyRequest): string {
  const scheme = /^https(?:,|$)/.test(String(headers['x-forwarded-proto'])) ? 'https' : 'http';
  const host = headers.host !== undefined && HOST.test(headers.host) ? headers.host : `localhost:${socket.localPort}`;
  return `${scheme}://${host}`;
}
