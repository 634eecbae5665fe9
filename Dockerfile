# One image with every program of Leadgraph; docker-compose.yml says which container runs which.

FROM rust:1.95-bookworm AS chef
RUN cargo install cargo-chef --version 0.1.78 --locked
# The programs are what makes the image large
ENV CARGO_PROFILE_RELEASE_STRIP=symbols
WORKDIR /build

# What the dependencies are, without our own sources
FROM chef AS plan
COPY . .
RUN cargo chef prepare --recipe-path recipe.json

FROM chef AS build
COPY --from=plan /build/recipe.json recipe.json
# All dependencies in a layer of their own, which stays until Cargo.lock or a manifest changes
RUN cargo chef cook --release --locked --recipe-path recipe.json \
    --package accounts --package leads --package interactions --package tasks --package scoring \
    --package notifications --package leadgraph
COPY . .
RUN cargo build --release --locked \
    --package accounts --package leads --package interactions --package tasks --package scoring \
    --package notifications --package leadgraph

FROM debian:bookworm-slim
LABEL org.opencontainers.image.title="Leadgraph" \
      org.opencontainers.image.description="A self-hosted CRM backend as one GraphQL API" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0"
# The newest certificates are the ones to have
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 10001 leadgraph \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /data --shell /usr/sbin/nologin leadgraph \
    && install --directory --owner 10001 --group 10001 --mode 0700 /data
COPY --from=build \
    /build/target/release/accounts \
    /build/target/release/leads \
    /build/target/release/interactions \
    /build/target/release/tasks \
    /build/target/release/scoring \
    /build/target/release/notifications \
    /build/target/release/leadgraph \
    /usr/local/bin/
# By number, so that what insists on a user that is not root can see it
USER 10001:10001
WORKDIR /data
# A container is reached from outside of itself
ENV LEADGRAPH_DATA_DIR=/data LISTEN_ADDR=0.0.0.0
STOPSIGNAL SIGTERM
CMD ["leadgraph", "--help"]
