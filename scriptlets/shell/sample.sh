#!/usr/bin/env bash
# NAME
#     sample.sh - return a message as JSON
#
# DESCRIPTION
#     The smallest useful shell scriptlet: it reads its argument from the
#     environment, where `args` of a recipe put it, and returns it.
#
# USAGE
#     MESSAGE="Hi there" scriptlets/shell/sample.sh
#
# RETURNS
#     stdout: exactly one JSON object, {"status": "ok", "message": "Hi there"};
#     {"status": "error", "reason": ...} and exit code 1 if MESSAGE is empty.
#     stderr: the log.
#
# LIMITATIONS
#     MESSAGE must be valid UTF-8, as every text of a recipe is.
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

if [[ -z ${MESSAGE:-} ]]; then
    log 'MESSAGE is empty; give it by `args: {MESSAGE: ...}` or in the environment'
    printf '{"status": "error", "reason": "MESSAGE is empty"}\n'
    exit 1
fi
log "MESSAGE has ${#MESSAGE} characters"
printf '{"status": "ok", "message": %s}\n' "$(json_text "$MESSAGE")"
