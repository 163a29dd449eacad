import { freePort } from '../net/ports.js';
import { postgresAccount } from './account.js';
import { postgresBinaries } from './binaries.js';
import { ManagedPostgres } from './postgres-server.js';
import type { PostgresServer } from './postgres-server.js';
import { newDataFolder } from './template.js';

/** Options of {@link startPostgres}. */
export interface StartPostgresOptions {
  /** True keeps fsync, full pages and synchronous commits, as in production; default false, which is quicker. */
  durable?: boolean;
  /** More settings of postgresql.conf. */
  settings?: Record<string, string>;
}

const HASTY = { fsync: 'off', full_page_writes: 'off', synchronous_commit: 'off' };

/** Starts a PostgreSQL on a free port; a port that somebody else took meanwhile is exchanged for another one. */
export async function startPostgres(options: StartPostgresOptions = {}): Promise<PostgresServer> {
  const bin = postgresBinaries();
  const account = postgresAccount();
  for (let attempt = 1; ; attempt++) {
    const server = new ManagedPostgres({
      bin,
      account,
      folder: await newDataFolder(bin, account),
      port: await freePort(),
      settings: {
        max_connections: '200',
        unix_socket_directories: '',
        ...(options.durable ? {} : HASTY),
        ...options.settings,
      },
    });
    try {
      await server.start();
      return server;
    } catch (error) {
      await server.stop();
      const taken = error instanceof Error && /address already in use|could not bind/i.test(error.message);
      if (!taken || attempt === 5) throw error;
    }
  }
}
