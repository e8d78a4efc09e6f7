#!/bin/sh
# Fills in the configuration from the environment and starts Asterisk, as the user "asterisk".
# ARI_PASSWORD has no default: render.sh refuses to start without it.
set -eu

# Where Debian's package put things, and directories that the Dockerfile made for the user.
AST_MODULES_DIR=$(dirname "$(find /usr/lib -path '*/asterisk/modules/res_pjsip.so')")
AST_DATA_DIR=/usr/share/asterisk
AST_CONFIG_DIR=/run/rollcall/config
AST_RUN_DIR=/run/rollcall
AST_LOG_DIR=/run/rollcall/log
AST_STATE_DIR=/var/lib/rollcall/asterisk
export AST_MODULES_DIR AST_DATA_DIR AST_CONFIG_DIR AST_RUN_DIR AST_LOG_DIR AST_STATE_DIR

# With host networking ARI must not listen to the world; the engine reaches it on the loopback.
export SIP_BIND="${SIP_BIND:-0.0.0.0}" SIP_PORT="${SIP_PORT:-5060}" SIP_TLS_PORT="${SIP_TLS_PORT:-5061}"
export TLS_CA_FILE="${TLS_CA_FILE:-/etc/ssl/certs/ca-certificates.crt}"
export ARI_BIND="${ARI_BIND:-127.0.0.1}" ARI_PORT="${ARI_PORT:-8088}" ARI_USER="${ARI_USER:-rollcall}"
# No AMI without a port; with one it needs a password, and has the loopback only, as ARI.
if [ -n "${AMI_PORT:-}" ]; then
  export AMI_BIND="${AMI_BIND:-127.0.0.1}" AMI_USER="${AMI_USER:-rollcall}"
  [ -n "${AMI_PASSWORD:-}" ] || { echo 'AMI_PASSWORD is not set: AMI needs one' >&2; exit 1; }
fi
export RTP_START="${RTP_START:-10000}" RTP_END="${RTP_END:-20000}"

# A volume that is mounted over the state directory can be empty.
mkdir -p "$AST_CONFIG_DIR" "$AST_LOG_DIR" "$AST_STATE_DIR/cache" "$AST_STATE_DIR/spool"
/opt/rollcall/dialplan/render.sh /opt/rollcall/dialplan "$AST_CONFIG_DIR"
exec asterisk -f -C "$AST_CONFIG_DIR/asterisk.conf"
