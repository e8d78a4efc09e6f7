# Asterisk 22 from Debian, with the configuration of dialplan/. docker/asterisk-root.sh unpacks the
# same packages where no Docker runs. Build context: the repository.
#
# Environment: ARI_PASSWORD (needed), ARI_USER, ARI_BIND, ARI_PORT, SIP_BIND, SIP_PORT, SIP_TLS_PORT,
# RTP_START, RTP_END, SIP_CAPTURE_ADDRESS; for AMI AMI_PORT, AMI_PASSWORD, AMI_USER, AMI_BIND; for trunks over
# TLS TLS_CA_FILE, TLS_CERT_FILE, TLS_KEY_FILE; and behind NAT EXTERNAL_ADDRESS and LOCAL_NETWORK. Volumes: the
# prompts, at the same path as in the engine. Network: host, since each call has two UDP ports of its own.
FROM debian:forky-slim

# The package would take the next free number for its user. A fixed one lets a certificate's key that is mounted
# belong to it on the host.
RUN groupadd --system --gid 960 asterisk \
 && useradd --system --uid 960 --gid asterisk --home-dir /var/lib/asterisk --no-create-home \
      --shell /usr/sbin/nologin asterisk

# Below 22.10.1 the engine refuses to start: see docker/asterisk-root.sh.
RUN apt-get update \
 && apt-get install -y --no-install-recommends asterisk ca-certificates \
 && dpkg --compare-versions "$(dpkg-query -W -f '${Version}' asterisk | sed 's/^[0-9]*://')" ge 22.10.1 \
 && rm -rf /var/lib/apt/lists/* \
 && install -d -o asterisk -g asterisk /run/rollcall /var/lib/rollcall/asterisk

# A new volume takes its owner from the image that mounts it first, and that may be this one: 1000 is the
# user of the engine's image, who writes here.
RUN install -d -o 1000 -g 1000 -m 0755 /var/lib/rollcall/sounds

COPY dialplan /opt/rollcall/dialplan
COPY docker/asterisk-entrypoint.sh /usr/local/bin/asterisk-entrypoint

USER asterisk
STOPSIGNAL SIGTERM
ENTRYPOINT ["asterisk-entrypoint"]

# Answers once all modules are loaded; the inner time limit ends a console that hangs.
HEALTHCHECK --interval=5s --timeout=5s --start-period=20s --retries=3 \
  CMD timeout 4 asterisk -C /run/rollcall/config/asterisk.conf -rx 'core waitfullybooted' || exit 1
