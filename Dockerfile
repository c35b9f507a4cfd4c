# docker build -t mtls-operator:0.1.0 .
# BASE_IMAGE: an image with Node.js 24 or newer on its PATH; BUILD_IMAGE: one that has npm, too. Both for the same libc.
ARG BUILD_IMAGE=node:26-slim
ARG BASE_IMAGE=node:26-slim

FROM ${BUILD_IMAGE} AS dependencies
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --omit=dev --ignore-scripts

FROM ${BASE_IMAGE}
LABEL org.opencontainers.image.title="mtls-operator" \
      org.opencontainers.image.description="An organisation's own certificate authority for mutual TLS, as a Kubernetes operator" \
      org.opencontainers.image.licenses="Apache-2.0"
ENV NODE_ENV=production
WORKDIR /app
COPY --from=dependencies /app/node_modules ./node_modules
COPY package.json LICENSE ./
COPY src ./src
USER 65532:65532
EXPOSE 8080
# In exec form, so that node is process 1 and gets SIGTERM itself; the operator handles it.
ENTRYPOINT ["node", "/app/src/main.ts"]
