# Any image with npm and Node 20.19 or newer; Node 20 itself has had no security fixes since April 2026. For a build that can be repeated
# exactly, or from a mirror: --build-arg NODE_IMAGE=<mirror>/node:24.11.1-bookworm-slim@sha256:<digest>
ARG NODE_IMAGE=node:24.11.1-bookworm-slim

FROM ${NODE_IMAGE} AS build
WORKDIR /app
# What is installed depends on these files only: a change of the sources takes the layer of the installation as it is.
COPY package.json package-lock.json ./
COPY libs/cache/package.json libs/cache/
COPY libs/config-sync/package.json libs/config-sync/
COPY libs/core/package.json libs/core/
COPY libs/embedding/package.json libs/embedding/
COPY libs/knowledge/package.json libs/knowledge/
COPY libs/lock/package.json libs/lock/
COPY libs/observability/package.json libs/observability/
COPY libs/platform/package.json libs/platform/
COPY libs/redis/package.json libs/redis/
COPY libs/saga/package.json libs/saga/
COPY libs/storage/package.json libs/storage/
COPY libs/tasks/package.json libs/tasks/
COPY libs/testing/package.json libs/testing/
COPY libs/throttler/package.json libs/throttler/
# Without install scripts: native code comes as binary packages for each platform, and no foreign program runs here.
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY . .
RUN npm run build && node scripts/image.mjs /image

FROM ${NODE_IMAGE}
# With a DATABASE_URL only the settings that were in force last are kept there; without one it needs a volume.
ENV NODE_ENV=production YUXI_DATA_DIR=/tmp/yuxi
WORKDIR /app
COPY --from=build /image ./
# A number, not a name, so that Kubernetes can check runAsNonRoot.
USER 10001
EXPOSE 5050 9464
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s CMD ["node", "healthcheck.mjs"]
# The worker: node --enable-source-maps apps/worker/dist/bundle/main.mjs
CMD ["node", "--enable-source-maps", "apps/api/dist/bundle/main.mjs"]
