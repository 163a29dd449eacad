import {
  api,
  type ApiClient,
  type ChaosProxy,
  firstRun,
  type PostgresServer,
  type RedisServer,
  type Replica,
  startPostgres,
  startProxy,
  startRedis,
  startReplicas,
  type TestDatabase,
} from '@yuxi/testing';
import { Pool } from 'pg';

export interface FleetOptions {
  /** Default 3. */
  replicas?: number;
  /** More environment variables of a replica. */
  env?: (index: number) => Record<string, string>;
  /** Program to run; default: the compiled API. */
  entry?: string;
  /** More settings of PostgreSQL. With the default ones a crash may lose the last commits. */
  postgres?: Record<string, string>;
  /** Indexes of the replicas that connect to Redis through a proxy of their own. */
  proxied?: readonly number[];
}

/** Replicas of the compiled API on one private Redis and one private PostgreSQL. */
export interface Fleet {
  redis: RedisServer;
  postgres: PostgresServer;
  replicas: Replica[];
  /** A client for each replica, in order. */
  apis: ApiClient[];
  /** Token of the superadmin. */
  token: string;
  /** Proxies by index of the replica. */
  proxies: Map<number, ChaosProxy>;
  databaseUrl: string;
  /** Queries PostgreSQL directly, without the API. */
  sql<Row extends object>(text: string, params?: unknown[]): Promise<Row[]>;
  stop(): Promise<void>;
}

export async function startFleet(options: FleetOptions = {}): Promise<Fleet> {
  const { replicas = 3, env, entry, postgres: settings, proxied = [] } = options;
  const redis = await startRedis({ password: 'fleet-password' });
  const postgres: PostgresServer = await startPostgres({ settings });
  const database: TestDatabase = await postgres.createDatabase();
  const proxies = new Map<number, ChaosProxy>();
  for (const index of proxied) proxies.set(index, await startProxy({ host: redis.host, port: redis.port }));

  const stopServers = async () => {
    await Promise.all([...proxies.values()].map((proxy) => proxy.stop()));
    await postgres.stop();
    await redis.stop();
  };
  const started = await startReplicas({
    count: replicas,
    entry,
    databaseUrl: database.url,
    redisUrl: (index) => {
      const port = proxies.get(index)?.port ?? redis.port;
      return `redis://:${redis.password}@${redis.host}:${port}`;
    },
    env,
  }).catch(async (error: unknown) => {
    await stopServers();
    throw error;
  });
  const pool = new Pool({ connectionString: database.url, max: 4 });
  // When a test ends the server, idle connections report an error.
  pool.on('error', () => undefined);
  const apis = started.map(({ baseUrl }) => api(baseUrl));
  return {
    redis,
    postgres,
    replicas: started,
    apis,
    token: await firstRun(started[0]!.baseUrl),
    proxies,
    databaseUrl: database.url,
    sql: async <Row extends object>(text: string, params: unknown[] = []) => (await pool.query<Row>(text, params)).rows,
    stop: async () => {
      await pool.end();
      await Promise.all(started.map((replica) => replica.stop()));
      await stopServers();
    },
  };
}

/** Creates a knowledge base. @returns its id */
export async function createKnowledgeBase(client: ApiClient, token: string, name: string): Promise<string> {
  const { status, body } = await client.post<{ db_id: string }>('/api/knowledge/databases', {
    json: { database_name: name },
    token,
  });
  if (status >= 300) throw new Error(`creating "${name}" answered ${status}: ${JSON.stringify(body)}`);
  return body.db_id;
}
