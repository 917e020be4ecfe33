# syntax=docker/dockerfile:1
#
# One image for every role: `app api` (the default), `app worker`, `app migrate`, `app check`.
#
#   docker build -t app --build-arg APP_COMMIT=$(git rev-parse HEAD) --build-arg APP_BRANCH=$(git branch --show-current) .
#
# Base images are named by version. For a build that is repeatable to the byte, add the digest that
# `docker buildx imagetools inspect IMAGE` prints. Cargo.lock pins every crate, a SHA-256 the model.

# --- The embedding models, multilingual-e5-small (76 MB, converted here) and all-MiniLM-L6-v2 (91 MB), which databases of
# earlier builds keep, PDFium, 8 MB, and the models of the built-in OCR, 31 MB, in their own stage so that a change of code does not fetch them again.
FROM debian:trixie-slim AS model
RUN apt-get update \
 && apt-get install --yes --no-install-recommends ca-certificates python3-pip \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY scripts/fetch scripts/lib.sh scripts/unpack.py scripts/convert_model.py scripts/
COPY scripts/pins scripts/pins
RUN APP_CACHE_DIR=/cache scripts/fetch model minilm pdfium ocr

# --- The manifests of the workspace, which do not change with the code.
FROM debian:trixie-slim AS manifests
WORKDIR /src
COPY Cargo.toml Cargo.lock ./
COPY crates crates
RUN find crates -type f ! -name Cargo.toml -delete

# --- The program. The version of Rust is rust-version of Cargo.toml.
FROM rust:1.95.0-slim-trixie AS build
WORKDIR /src
# First the dependencies, with empty crates, so that they are built again only when a manifest changes.
COPY --from=manifests /src ./
RUN mkdir -p src \
 && echo 'fn main() {}' | tee src/main.rs build.rs \
 && for crate in . crates/*; do mkdir -p $crate/src && touch $crate/src/lib.rs; done \
 && cargo build --locked --release --bin app \
 && rm -r src build.rs crates
COPY build.rs LICENSE NOTICE ./
COPY scripts/lib.sh scripts/licences scripts/
COPY scripts/pins scripts/pins
COPY config config
COPY docs/openapi.json docs/
COPY migrations migrations
COPY samples samples
COPY crates crates
COPY src src
# Which build it is, since there is no git here. Render sets its own two; the others are for builds elsewhere.
ARG RENDER_GIT_COMMIT
ARG RENDER_GIT_BRANCH
ARG APP_COMMIT
ARG APP_BRANCH
ARG SOURCE_DATE_EPOCH
# `touch`: cargo compares ages, and these files are older than the build of the empty crates above.
RUN find build.rs config crates migrations samples scripts src -type f -exec touch {} + \
 && cargo build --locked --release --bin app \
 && scripts/licences /licences

# --- The image: the program, its configuration, the model, PDFium with its licences, Tesseract with English, the other licences, and a
# shell for the release command.
FROM debian:trixie-slim
# Members of group 1000 may read Render's secret files.
RUN apt-get update \
 && apt-get install --yes --no-install-recommends ca-certificates tesseract-ocr tesseract-ocr-eng \
 && rm -rf /var/lib/apt/lists/* \
 && groupadd --gid 1000 app \
 && useradd --uid 1000 --gid 1000 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin app
COPY --from=model /cache/models /var/lib/app/models
COPY --from=model /cache/pdfium /var/lib/app/pdfium
COPY --from=model /cache/ocr /var/lib/app/ocr
COPY --from=build /licences /usr/share/doc/app
COPY config /etc/app
COPY --from=build /src/target/release/app /usr/local/bin/app
ENV APP_CONFIG_DIR=/etc/app \
    EMBED_MODEL_DIR=/var/lib/app/models
# A number, so that a platform can see that it is not root.
USER 1000:1000
WORKDIR /tmp
EXPOSE 8000
# Asks 127.0.0.1:$PORT/livez of the API, else looks for a fresh row of this host in the table `workers`.
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s --retries=3 CMD ["app", "check", "--only", "self"]
CMD ["app", "api"]
