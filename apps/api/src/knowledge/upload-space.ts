import { Injectable } from '@nestjs/common';
import { type Actor, MAX_UPLOAD_BYTES } from '@yuxi/knowledge';
import { SpoolSpace } from '@yuxi/storage';
import type { UploadOptions } from '../http/index.js';

/** What the uploads that one process receives at a time may take together; beyond it they are answered with 503. */
@Injectable()
export class UploadSpace {
  readonly #space = new SpoolSpace();

  of(actor: Actor): UploadOptions {
    return { maxBytes: MAX_UPLOAD_BYTES, space: this.#space, owner: `${actor.id}` };
  }
}
