import { Inject, Injectable, type BeforeApplicationShutdown, type OnApplicationBootstrap } from '@nestjs/common';
import { Sweeper } from '../sweep/sweeper.js';
import { AUTH_OPTIONS, checkAuthOptions, type AuthOptions } from './auth.options.js';
import { ApiKeyStore } from './keys/api-key.store.js';
import { SessionStore } from './sessions/session.store.js';

/** Removes sessions and keys that are over. */
@Injectable()
export class AuthSweep implements OnApplicationBootstrap, BeforeApplicationShutdown {
  readonly sessions: Sweeper;
  readonly keys: Sweeper;

  constructor(@Inject(AUTH_OPTIONS) options: AuthOptions, sessions: SessionStore, keys: ApiKeyStore) {
    const { sweepEveryMs } = checkAuthOptions(options);
    this.sessions = new Sweeper('ended sessions', sweepEveryMs, (portion) => sessions.removeEnded(portion));
    this.keys = new Sweeper('expired keys', sweepEveryMs, (portion) => keys.removeExpired(portion));
  }

  onApplicationBootstrap(): void {
    this.sessions.start();
    this.keys.start();
  }

  beforeApplicationShutdown(): void {
    this.sessions.stop();
    this.keys.stop();
  }
}
