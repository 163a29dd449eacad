# Any image with Node 20.19 or newer will do; behind a mirror: --build-arg NODE_IMAGE=<mirror>/node:20-bookworm-slim
ARG NODE_IMAGE=node:20.20.2-bookworm-slim

FROM ${NODE_IMAGE} AS build
WORKDIR /app
COPY . .
RUN npm ci --no-audit --no-fund && npm run build && npm prune --omit=dev \
  && find libs apps -mindepth 2 -maxdepth 2 -name src -exec rm -rf {} +

FROM ${NODE_IMAGE}
# With a DATABASE_URL only the settings that were in force last are kept there; without one it needs a volume.
ENV NODE_ENV=production YUXI_DATA_DIR=/tmp/yuxi
WORKDIR /app
COPY --from=build /app/package.json ./
COPY --from=build /app/node_modules ./node_modules
COPY --from=build /app/libs ./libs
COPY --from=build /app/apps ./apps
# A number, not a name, so that Kubernetes can check runAsNonRoot.
USER 10001
EXPOSE 5050 9464
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s \
  CMD ["node", "-e", "fetch('http://127.0.0.1:5050/health/live').then(r => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
CMD ["node", "--enable-source-maps", "apps/api/dist/bundle/main.mjs"]
