#!/bin/sh
# Fills in the Asterisk configuration from the environment. The Docker entrypoint and
# local/asterisk.ts both call it, so that both run the same files.
#
#   dialplan/render.sh SOURCE_DIR TARGET_DIR
#
# @NAME@ becomes $NAME. A missing or empty variable is an error: no value and no secret has a
# default here. A line that holds @NAME?@ is left out when $NAME is empty or not set.
# Values may hold letters, digits, space and . _ ~ : / @ + - only, so that none can start a comment
# (;), a new line or a new section. All errors are reported at once, and nothing is written then.
set -eu
umask 077 # ari.conf holds a password

if [ $# -ne 2 ] || [ ! -d "$1" ]; then
  echo 'usage: dialplan/render.sh SOURCE_DIR TARGET_DIR' >&2
  exit 2
fi
mkdir -p "$2"

# One awk program over all files, in two rounds: check everything, then write.
render() {
  LC_ALL=C awk -v target="$1" -v writing="$2" '
    function complain(name, problem) {
      if (!((name, problem) in told)) print "dialplan/render.sh: " name " " problem | "cat >&2"
      told[name, problem] = 1
      failed = 1
    }
    FNR == 1 { out = FILENAME; sub(/.*\//, "", out); out = target "/" out }
    {
      rest = $0; line = ""; dropped = 0
      while (match(rest, /@[A-Z][A-Z0-9_]*[?]?@/)) {
        name = substr(rest, RSTART + 1, RLENGTH - 2)
        optional = sub(/[?]$/, "", name)
        value = ENVIRON[name]
        if (value == "" && optional) dropped = 1
        else if (value == "") complain(name, "is not set: it is needed in " FILENAME)
        else if (value ~ /[^A-Za-z0-9 ._~:\/@+-]/ || value ~ /^ | $/)
          complain(name, "holds a character that the Asterisk configuration does not take (use letters, digits, inner spaces and . _ ~ : / @ + - only)")
        line = line substr(rest, 1, RSTART - 1) value
        rest = substr(rest, RSTART + RLENGTH)
      }
      if (writing && !dropped) print line rest > out
    }
    END { exit failed }
  ' "$3"/*.conf
}

render "$2" 0 "$1"
rm -f "$2"/*.conf
render "$2" 1 "$1"
