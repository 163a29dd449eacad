// The HEALTHCHECK of the image: exit code 0 when the process of this container answers its liveness probe, else 1.
import { get } from 'node:http';

const USAGE = `Usage: node healthcheck.mjs [--help]

Requests GET /health/live from the process in this container: on PORT, or on the default ports of API and worker without PORT; and on
YUXI_HOST if that is one address. Exit code 0 for status 200, else 1 with a reason.
`;
/** Default ports of the API and of the worker; a container runs one of them. */
const DEFAULT_PORTS = [5050, 5051];
/** Less than the timeout in the Dockerfile, so that the reason is seen. */
const TIMEOUT_MS = 2500;

const { PORT, YUXI_HOST } = process.env;
const everywhere = !YUXI_HOST || ['0.0.0.0', '::'].includes(YUXI_HOST);
const host = everywhere ? '127.0.0.1' : YUXI_HOST;

function isAlive(port) {
  return new Promise((resolve, reject) => {
    const request = get({ host, port, path: '/health/live', timeout: TIMEOUT_MS, agent: false }, (response) => {
      response.resume();
      if (response.statusCode === 200) resolve();
      else reject(new Error(`${host}:${port}/health/live answered ${response.statusCode}`));
    });
    request.on('timeout', () => request.destroy(new Error(`${host}:${port} did not answer within ${TIMEOUT_MS} ms`)));
    request.on('error', reject);
  });
}

if (process.argv[2] === '--help') {
  process.stdout.write(USAGE);
} else {
  try {
    await Promise.any((PORT ? [PORT] : DEFAULT_PORTS).map(isAlive));
    // Does not wait for the other port.
    process.exit(0);
  } catch (error) {
    process.stderr.write(`${error.errors.map(({ message }) => message).join('; ')}\n`);
    process.exitCode = 1;
  }
}
