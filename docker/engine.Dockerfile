# The engine: all roles, run directly from its TypeScript. Build context: the repository.
#
# Environment: engine/config.ts; .env.example explains each variable. Volume: the prompts' audio in
# /var/lib/rollcall/sounds, at the same path as in Asterisk. Runs with a read-only root file system; /tmp is
# where voices keep a text for the second that they speak it.

FROM node:24-trixie-slim AS dependencies
WORKDIR /opt/rollcall
COPY package.json package-lock.json ./
# Without development dependencies, which bring a Node and a PostgreSQL of their own.
RUN npm ci --omit=dev --no-audit --no-fund

FROM node:24-trixie-slim
RUN apt-get update \
 && apt-get install -y --no-install-recommends flite espeak-ng \
 && rm -rf /var/lib/apt/lists/* \
 && install -d -o node -g node -m 0755 /var/lib/rollcall/sounds

WORKDIR /opt/rollcall
ENV NODE_ENV=production SOUNDS_DIR=/var/lib/rollcall/sounds
COPY --from=dependencies /opt/rollcall/node_modules node_modules
COPY package.json ./
COPY engine engine
COPY migrations migrations
COPY prompts prompts

USER node
STOPSIGNAL SIGTERM
CMD ["node", "engine/main.ts"]

# Ready means: the database answers, and Asterisk is connected where this engine dials. 0.0.0.0 is not only
# for listening: Linux takes it as "this machine" in a connection too.
HEALTHCHECK --interval=5s --timeout=5s --start-period=60s --retries=6 \
  CMD ["node", "-e", "const { HTTP_HOST, HTTP_PORT } = process.env; fetch(`http://${HTTP_HOST || '127.0.0.1'}:${HTTP_PORT || 8080}/readyz`, { signal: AbortSignal.timeout(4000) }).then(async (reply) => { if (!reply.ok) throw new Error(await reply.text()); }).catch((error) => { console.error(error.cause?.message ?? error.message); process.exit(1); })"]
