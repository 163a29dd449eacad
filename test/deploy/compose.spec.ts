import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { parse } from 'yaml';

interface Service {
  image?: string;
  command?: string[];
  environment?: Record<string, string>;
  healthcheck?: { test: string[] };
}

describe('docker-compose.yml', () => {
  const { services } = parse(readFileSync('docker-compose.yml', 'utf8')) as { services: Record<string, Service> };

  it('starts Redis with a password that stands on no command line', () => {
    const { command = [], healthcheck } = services['redis']!;
    expect(command.join(' ')).toContain('requirepass');
    expect(command.join(' ')).not.toMatch(/--requirepass|\$\{REDIS_PASSWORD/);
    expect(healthcheck?.test.join(' ')).toMatch(/redis-cli -e ping \| grep -q PONG/);
  });

  it('pins every image and gives the API its secrets as files', () => {
    for (const { image } of Object.values(services)) expect(image).toMatch(/:[\w.]*\d/);
    expect(services['api']!.environment).toMatchObject({
      REDIS_PASSWORD_FILE: expect.any(String),
      JWT_SECRET_FILE: expect.any(String),
    });
  });
});
