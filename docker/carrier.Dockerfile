# The simulated carrier (SIPp) for rehearsals, with the scenario of test/sim/carrier. Build context:
# the repository.
#
# Environment: CARRIER_HOST, CARRIER_PORT, CARRIER_MEDIA_PORT. Its log is /carrier/calls.log.

# Makes the scenario and its sounds; Node is not needed afterwards.
FROM node:24-trixie-slim AS prepare
RUN apt-get update \
 && apt-get install -y --no-install-recommends flite sox \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /rollcall
COPY package.json ./
COPY test/sim/carrier test/sim/carrier
RUN node test/sim/carrier/prepare.ts /carrier

FROM debian:forky-slim
# SIPp sends key presses through a raw socket. The file capability gives it that one right of root's, so
# that it need not run as root.
RUN apt-get update \
 && apt-get install -y --no-install-recommends sip-tester libcap2-bin \
 && rm -rf /var/lib/apt/lists/* \
 && setcap cap_net_raw+ep "$(readlink -f "$(command -v sipp)")" \
 && useradd --system --uid 961 --no-create-home --shell /usr/sbin/nologin carrier
COPY --from=prepare --chown=carrier /carrier /carrier
COPY docker/carrier-health.sh /usr/local/bin/carrier-health
WORKDIR /carrier

ENV CARRIER_HOST=127.0.0.1 CARRIER_PORT=5080 CARRIER_MEDIA_PORT=30000

# The arguments of test/sim/carrier/carrier.ts. SIPp draws screens on the standard output.
USER carrier
STOPSIGNAL SIGTERM
CMD ["/bin/sh", "-c", "exec sipp -sf scenario.xml -i \"$CARRIER_HOST\" -p \"$CARRIER_PORT\" -mi \"$CARRIER_HOST\" -mp \"$CARRIER_MEDIA_PORT\" -trace_logs -log_file calls.log -trace_err -error_file errors.log -watchdog_interval 0 -nostdin -default_behaviors all,-abortunexp >/dev/null"]

HEALTHCHECK --interval=5s --timeout=5s --start-period=5s --retries=3 \
  CMD ["carrier-health"]
