#!/bin/bash
# Asks the simulated carrier as Asterisk does, by OPTIONS: an open port alone does not show that SIPp still
# answers. The system has no other UDP client than bash's /dev/udp.
set -eu

host=$CARRIER_HOST port=$CARRIER_PORT id=health-$$-$RANDOM$RANDOM
exec 3<>"/dev/udp/$host/$port"
# rport: the answer comes back to the port that the question came from, which bash does not know.
printf '%s\r\n' \
  "OPTIONS sip:$host:$port SIP/2.0" \
  "Via: SIP/2.0/UDP $host;rport;branch=z9hG4bK$id" \
  "From: <sip:health@$host>;tag=$id" \
  "To: <sip:$host:$port>" \
  "Call-ID: $id" \
  'CSeq: 1 OPTIONS' \
  "Contact: <sip:health@$host>" \
  'Max-Forwards: 70' \
  'Content-Length: 0' \
  '' | dd bs=65536 count=1 iflag=fullblock status=none >&3
answer=$(timeout 3 dd bs=65536 count=1 status=none <&3 | head -n 1) || true
case $answer in
  'SIP/2.0 200'*) ;;
  *)
    echo "no answer from SIPp at $host:$port: ${answer:-nothing}" >&2
    exit 1
    ;;
esac
