#!/usr/bin/env bash
# NAME
#     sample.sh - return a message as JSON
#
# DESCRIPTION
#     The smallest useful shell scriptlet: it reads its argument from the
#     environment, where `env` of a recipe puts it, and returns it.
#
# USAGE
#     ECHO_TEXT="Hi there" scriptlets/shell/sample.sh
#
# RETURNS
#     stdout: exactly one JSON object, {"status":"ok","echo":"Hi there"};
#     {"status":"error","reason":...} and exit code 1 if ECHO_TEXT is empty.
#     stderr: the log.
#
# LIMITATIONS
#     ECHO_TEXT must be valid UTF-8, as every text of a recipe is.
set -euo pipefail

log() { printf 'sample.sh: %s\n' "$1" >&2; }

json_text() {
    local text=$1 code hex char
    text=${text//\\/\\\\}
    text=${text//\"/\\\"}
    for ((code = 1; code < 32; code++)); do
        printf -v hex '%04x' "$code"
        printf -v char "\\x${hex:2}"
        text=${text//"$char"/\\u$hex}
    done
    printf '"%s"' "$text"
}

if [[ -z ${ECHO_TEXT:-} ]]; then
    log 'ECHO_TEXT is empty; give it by `env: {ECHO_TEXT: ...}` or in the environment'
    printf '{"status":"error","reason":"ECHO_TEXT is empty"}\n'
    exit 1
fi
log "ECHO_TEXT has ${#ECHO_TEXT} characters"
printf '{"status":"ok","echo":%s}\n' "$(json_text "$ECHO_TEXT")"
