import { describe, expect, it } from '@jest/globals';
import { redisOptionsFromEnv } from './redis.env.js';
import { resolveRedisOptions } from './redis.options.js';

type Env = Record<string, string>;

const good: [Env, object | undefined][] = [
  [{}, undefined],
  [{ REDIS_HOST: '', REDIS_PORT: '', REDIS_URL: ' ' }, undefined],
  [{ REDIS_PORT: '6379', REDIS_PASSWORD: 'x' }, undefined],
  [{ REDIS_HOST: 'redis-service' }, { target: { mode: 'standalone', host: 'redis-service', port: 6379 } }],
  [
    { REDIS_HOST: 'h', REDIS_PORT: '1', REDIS_DB: '3', REDIS_USERNAME: 'u', REDIS_PASSWORD: ' p ' },
    { target: { port: 1 }, db: 3, username: 'u', password: ' p ' },
  ],
  [
    { REDIS_URL: 'rediss://u:p%40@h:1/2' },
    { target: { host: 'h', port: 1 }, db: 2, username: 'u', password: 'p@', tls: {} },
  ],
  [{ REDIS_URL: 'redis://[::1]' }, { target: { host: '::1', port: 6379 }, tls: undefined }],
  [{ REDIS_URL: 'redis://h', REDIS_PASSWORD: 'p' }, { password: 'p' }],
  [
    { REDIS_SENTINELS: 'a:1, b', REDIS_SENTINEL_NAME: 'm' },
    {
      target: {
        mode: 'sentinel',
        name: 'm',
        sentinels: [
          { host: 'a', port: 1 },
          { host: 'b', port: 26_379 },
        ],
      },
    },
  ],
  [{ REDIS_CLUSTER_NODES: '[::1]:7000' }, { target: { mode: 'cluster', nodes: [{ host: '::1', port: 7000 }] } }],
  [{ REDIS_HOST: 'h', REDIS_COMMAND_TIMEOUT_MS: '50' }, { commandTimeout: 50 }],
  [{ REDIS_HOST: 'h', REDIS_COMMAND_TIMEOUT_MS: '30s' }, { commandTimeout: 30_000 }],
  [{ REDIS_HOST: 'h', REDIS_TLS: 'false' }, { tls: undefined }],
];

const bad: [Env, RegExp[]][] = [
  [{ REDIS_PORT: 'abc' }, [/^REDIS_PORT must be an integer 1..65535, got "abc"$/]],
  [{ REDIS_HOST: 'h', REDIS_PORT: '6379abc' }, [/^REDIS_PORT .*"6379abc"/]],
  [{ REDIS_HOST: 'h', REDIS_PORT: '0' }, [/^REDIS_PORT/]],
  [{ REDIS_HOST: 'h', REDIS_PORT: '65536' }, [/^REDIS_PORT/]],
  [{ REDIS_HOST: 'h', REDIS_PORT: 'tcp://10.0.0.1:6379' }, [/^REDIS_PORT/]],
  [{ REDIS_URL: 'http://u:canary@h' }, [/^REDIS_URL must be a URL that starts with redis:\/\/ or rediss:\/\/$/]],
  [{ REDIS_URL: 'redis://u:canary@h:99999' }, [/^REDIS_URL/]],
  [{ REDIS_URL: 'redis://h/x' }, [/^REDIS_URL .*database number/]],
  [{ REDIS_URL: 'redis://h?db=canary' }, [/^REDIS_URL/]],
  [{ REDIS_SENTINELS: 'a:1' }, [/^REDIS_SENTINEL_NAME/]],
  [{ REDIS_SENTINEL_NAME: 'm' }, [/^REDIS_SENTINELS/]],
  [{ REDIS_URL: 'redis://h', REDIS_CLUSTER_NODES: 'a:1' }, [/^REDIS_URL and REDIS_CLUSTER_NODES contradict/]],
  [{ REDIS_CLUSTER_NODES: 'a:1', REDIS_DB: '2' }, [/^REDIS_DB/]],
  [{ REDIS_CLUSTER_NODES: 'a:1,,b' }, [/^REDIS_CLUSTER_NODES/]],
  [{ REDIS_HOST: 'h', REDIS_COMMAND_TIMEOUT_MS: '30 sec' }, [/^REDIS_COMMAND_TIMEOUT_MS/]],
  [{ REDIS_HOST: 'h', REDIS_TLS: 'maybe' }, [/^REDIS_TLS/]],
  [{ REDIS_HOST: 'h', REDIS_TLS_CA: '/none/ca.pem' }, [/^REDIS_TLS_CA/]],
  [{ REDIS_HOST: 'redis://u:canary@h', REDIS_PORT: 'x', REDIS_DB: '-1' }, [/^REDIS_HOST/, /^REDIS_PORT/, /^REDIS_DB/]],
];

describe('redisOptionsFromEnv', () => {
  it.each(good)('%j', (env, expected) => {
    const { options, problems } = redisOptionsFromEnv(env);
    expect(problems).toEqual([]);
    if (expected === undefined) expect(options).toBeUndefined();
    else expect(resolveRedisOptions(options)).toMatchObject(expected);
  });

  it.each(bad)('refuses %j', (env, expected) => {
    const { options, problems } = redisOptionsFromEnv(env);
    expect(options).toBeUndefined();
    expect(problems).toHaveLength(expected.length);
    expected.forEach((pattern, i) => expect(problems[i]).toMatch(pattern));
    expect(problems.join()).not.toContain('canary');
  });
});

describe('options given in code', () => {
  it.each([
    [{ port: 0, host: 'h' }, /port must be an integer 1..65535, got 0 \(RedisModule\)/],
    [{ host: ' ' }, /host must be a host name/],
    [{ url: 'http://u:canary@h' }, /url must be a URL that starts with/],
    [{ url: 'redis://h', clusterNodes: [{ host: 'h', port: 1 }] }, /url and clusterNodes must be given one at a time/],
    [{ sentinels: [{ host: 'h', port: 1 }] }, /sentinelName must be/],
    [{ clusterNodes: [] }, /clusterNodes must be a list/],
    [{ host: 'h', db: 1.5 }, /db must be/],
    [{ host: 'h', commandTimeout: 0 }, /commandTimeout must be/],
    [{ host: 'h', commandTimeout: '30 sec' }, /commandTimeout must be/],
  ])('refuses %j', (options, message) => {
    expect(() => resolveRedisOptions(options)).toThrow(message);
    expect(() => resolveRedisOptions(options)).not.toThrow(/canary/);
  });
});
