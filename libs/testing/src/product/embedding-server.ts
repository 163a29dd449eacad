import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** What the server does with one call instead of a correct answer. */
export type ProviderFault =
  | 'busy' // 429 with Retry-After
  | 'error' // 500
  | 'forbidden' // 401, with the key in the message
  | 'silent' // no answer
  | 'reset' // the connection is closed
  | 'short' // one vector too few
  | 'dimensions' // vectors that are too long
  | 'nan' // NaN in the vectors
  | 'garbage' // invalid JSON
  | 'redirect'; // 307 to another address

export interface EmbeddingServerOptions {
  /** Default 32. */
  dimensions?: number;
  /** Vector of a text for a model. Default: made of the letters of the text, and different for each model. */
  vectorOf?: (text: string, model: string) => number[];
  /** Fault of the call with this number; the first is 1. Default: no faults. */
  fault?: (call: number) => ProviderFault | undefined;
  /** Delay of each answer, milliseconds. Default 0. */
  delay?: number;
  /** Vectors as base64 of float32. Default `false`. */
  base64?: boolean;
}

export interface EmbeddingServer {
  /** Base URL, with `/v1`. */
  readonly url: string;
  /** `host:port`, as in a list of allowed hosts. */
  readonly host: string;
  /** Number of calls, faults included. */
  readonly calls: number;
  /** The texts of all calls that got a correct answer, in order. */
  readonly texts: readonly string[];
  /** Largest number of concurrent calls. */
  readonly busiest: number;
  /** `Authorization` of the last call. */
  readonly authorization: string | undefined;
  /** `dimensions` of the last call. */
  readonly requestedDimensions: number | undefined;
  reset(options?: EmbeddingServerOptions): void;
  stop(): Promise<void>;
}

/** Starts an HTTP server that implements `POST /v1/embeddings`, with faults. */
export async function startEmbeddingServer(options: EmbeddingServerOptions = {}): Promise<EmbeddingServer> {
  const provider = new Provider(options);
  await provider.listen();
  return provider;
}

interface Call {
  model: string;
  input: string[];
  dimensions?: number;
}

class Provider implements EmbeddingServer {
  calls = 0;
  texts: string[] = [];
  busiest = 0;
  authorization: string | undefined;
  requestedDimensions: number | undefined;
  #concurrent = 0;
  #options: EmbeddingServerOptions;
  readonly #server: Server;

  constructor(options: EmbeddingServerOptions) {
    this.#options = options;
    this.#server = createServer((request, response) => void this.#handle(request, response));
  }

  get host(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  get url(): string {
    return `http://${this.host}/v1`;
  }

  async listen(): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
  }

  reset(options: EmbeddingServerOptions = {}): void {
    this.#options = options;
    Object.assign(this, {
      calls: 0,
      texts: [],
      busiest: 0,
      authorization: undefined,
      requestedDimensions: undefined,
    });
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    this.busiest = Math.max(this.busiest, ++this.#concurrent);
    response.on('close', () => this.#concurrent--);
    this.authorization = request.headers.authorization;
    const pieces: Buffer[] = [];
    for await (const piece of request) pieces.push(piece as Buffer);
    const call = JSON.parse(Buffer.concat(pieces).toString()) as Call;
    this.calls++;
    const fault = this.#options.fault?.(this.calls);
    const { delay = 0 } = this.#options;
    if (delay > 0) await new Promise((resolve) => setTimeout(resolve, delay));
    if (fault && this.#fail(fault, response)) return;
    this.#answer(call, response, fault);
  }

  /** @returns whether the call is finished */
  #fail(fault: ProviderFault, response: ServerResponse): boolean {
    const respond = (status: number, body: string, headers: Record<string, string> = {}) => {
      response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(body);
      return true;
    };
    if (fault === 'busy') return respond(429, reasonOf('slow down'), { 'retry-after': '1' });
    if (fault === 'error') return respond(500, reasonOf('internal'));
    if (fault === 'forbidden') return respond(401, reasonOf(`wrong key: ${this.authorization}`));
    if (fault === 'redirect') return respond(307, '', { location: 'http://169.254.169.254/v1/embeddings' });
    if (fault === 'garbage') return respond(200, '{"data": [{"embedding": [0.1, ');
    if (fault === 'reset') response.destroy();
    return fault === 'reset' || fault === 'silent';
  }

  #answer({ model, input, dimensions }: Call, response: ServerResponse, fault?: ProviderFault): void {
    this.requestedDimensions = dimensions;
    const { vectorOf = (text: string) => spelling(text, model, this.#options.dimensions ?? 32), base64 } =
      this.#options;
    const vectors = input.map((text) => vectorOf(text, model));
    if (!fault) this.texts.push(...input);
    if (fault === 'short') vectors.pop();
    if (fault === 'dimensions') for (const vector of vectors) vector.push(0.5);
    const data = vectors.map((vector, index) => ({
      object: 'embedding',
      index,
      embedding: base64 ? Buffer.from(Float32Array.from(vector).buffer).toString('base64') : vector,
    }));
    const tokens = input.reduce((sum, text) => sum + Math.ceil(text.length / 4), 0);
    const body = JSON.stringify({
      object: 'list',
      data,
      model,
      usage: { prompt_tokens: tokens, total_tokens: tokens },
    });
    // NaN is not valid in JSON, but some servers send it.
    response
      .writeHead(200, { 'content-type': 'application/json' })
      .end(fault === 'nan' ? body.replace(/("embedding":\[)[^,\]]+/g, '$1NaN') : body);
  }
}

const reasonOf = (message: string) => JSON.stringify({ error: { message } });

/** Texts with the same pairs of letters get similar vectors. */
function spelling(text: string, model: string, dimensions: number): number[] {
  const vector = Array.from({ length: dimensions }, () => 0);
  const shift = Array.from(model, (letter) => letter.codePointAt(0)!).reduce((sum, code) => sum + code, 0);
  let before = 0;
  for (const letter of text.toLowerCase()) {
    const code = letter.codePointAt(0)!;
    // Multiplied, so that another model does not just rotate all vectors in the same way.
    const mixed = Math.imul((before * 131 + code) * 31 + shift, 0x9e3779b1) >>> 8;
    vector[mixed % dimensions]! += 1;
    before = code;
  }
  const norm = Math.hypot(...vector) || 1;
  return vector.map((value) => value / norm);
}
