# docker build -t mtls-operator:0.1.0 .
# BASE_IMAGE: an image with Node.js 24 or newer on its PATH; BUILD_IMAGE: one that has npm, too. Both for the same libc.
ARG BUILD_IMAGE=node:26-slim
ARG BASE_IMAGE=node:26-slim

FROM ${BUILD_IMAGE} AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --ignore-scripts
COPY tsconfig.json tsconfig.build.json ./
COPY src ./src
# JavaScript, since the compiler with which Node.js runs TypeScript stays in the operator's memory.
RUN node_modules/.bin/tsc --project tsconfig.build.json
# Half of what packages bring is declarations and source maps, which nothing reads at run time. Licences stay.
RUN npm prune --omit=dev --ignore-scripts \
 && find node_modules -type f \( -name '*.map' -o -name '*.d.ts' -o -name '*.d.mts' -o -name '*.d.cts' \) -delete

FROM ${BASE_IMAGE}
LABEL org.opencontainers.image.title="mtls-operator" \
      org.opencontainers.image.description="An organisation's own certificate authority for mutual TLS, as a Kubernetes operator" \
      org.opencontainers.image.licenses="Apache-2.0"
# Half of the threads make RSA keys, no more than there are cores; they are there when the first is needed.
# glibc maps network buffers of 32 KB and more, and returns them to the system when they are freed. Its own heap shrinks only to the last piece in use.
ENV NODE_ENV=production \
    UV_THREADPOOL_SIZE=32 \
    MALLOC_MMAP_THRESHOLD_=32768
WORKDIR /app
COPY --from=build /app/node_modules ./node_modules
COPY --from=build /app/dist ./dist
COPY package.json LICENSE ./
USER 65532:65532
EXPOSE 8080
# In exec form, so that node is process 1 and gets SIGTERM itself; the operator handles it.
ENTRYPOINT ["node", "/app/dist/main.js"]
