# docker build -t mtls-operator:0.1.0 .
#
# BUILD_IMAGE: a shell, find, Node.js and npm. BASE_IMAGE: Node.js 24 or later at /nodejs/bin/node, and a user 65532.
# The release workflow gives both by digest: docs/design/0030-image.md.
ARG BUILD_IMAGE=docker.io/library/node:26-trixie-slim
ARG BASE_IMAGE=gcr.io/distroless/nodejs26-debian13:nonroot

# JavaScript is the same for every architecture, so the builder runs this stage without emulation.
FROM --platform=${BUILDPLATFORM} ${BUILD_IMAGE} AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --ignore-scripts
COPY tsconfig.json tsconfig.build.json ./
COPY src ./src
# JavaScript, since the compiler with which Node.js runs TypeScript stays in the operator's memory.
RUN node_modules/.bin/tsc --project tsconfig.build.json
# Most of what packages bring is declarations, source maps, and native code for another runtime (Bare). Licences stay.
RUN npm prune --omit=dev --ignore-scripts \
 && rm -r node_modules/@types node_modules/undici-types node_modules/.bin node_modules/.package-lock.json \
 && find node_modules -type f \( -name '*.map' -o -name '*.ts' -o -name '*.mts' -o -name '*.cts' -o -name '*.bare' \) -delete

FROM ${BASE_IMAGE}
LABEL org.opencontainers.image.title="mtls-operator" \
      org.opencontainers.image.description="An organization's own certificate authority for mutual TLS, as a Kubernetes operator" \
      org.opencontainers.image.version="0.1.0" \
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
# A number, so that kubelet can see that it is not root.
USER 65532:65532
EXPOSE 8080
# Node.js is process 1: it gets SIGTERM itself, and the operator handles it.
STOPSIGNAL SIGTERM
ENTRYPOINT ["/nodejs/bin/node", "--import", "/app/dist/stop-signal.js", "/app/dist/main.js"]
