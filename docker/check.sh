#!/bin/sh
# Checks what can be checked without a Docker engine: the syntax of all shell scripts, and the compose file
# where a docker client with compose is installed. test/unit/docker.test.ts checks what the files say.
set -eu
cd "$(dirname "$0")/.."

scripts=$(git ls-files --cached --others --exclude-standard '*.sh' .ci/run)
failed=0
left_out=
checked=
for script in $scripts; do
  # By the shell that will run it.
  case $(head -n 1 "$script") in
    *bash) bash -n "$script" || failed=1 ;;
    *) sh -n "$script" || failed=1 ;;
  esac
done
if command -v shellcheck >/dev/null; then
  # A list of words.
  # shellcheck disable=SC2086
  shellcheck --severity=warning $scripts || failed=1
else
  left_out="$left_out; shellcheck is not installed"
fi
if docker compose version >/dev/null 2>&1; then
  # The passwords are the only ones without a default.
  POSTGRES_PASSWORD=check ARI_PASSWORD=check AMI_PASSWORD=check SECRET_KEY=check \
    docker compose --env-file .env.example -f docker/compose.yaml --profile '*' config --quiet || failed=1
  checked=' and the compose file'
else
  left_out="$left_out; docker compose is not installed"
fi
[ "$failed" -eq 0 ] || exit 1
printf 'docker/check.sh: %d scripts%s in order%s\n' "$(printf '%s\n' "$scripts" | wc -l)" "$checked" \
  "${left_out:+ (not tried: ${left_out#; })}"
