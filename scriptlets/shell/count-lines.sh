#!/bin/sh
# NAME
#     count-lines.sh - count the lines of a text file
#
# DESCRIPTION
#     Reads the file that INPUT names and counts its lines. A last line
#     without a newline counts too, which `wc -l` does not count.
#
# USAGE
#     INPUT=README.md scriptlets/shell/count-lines.sh
#
# RETURNS
#     stdout: exactly one JSON object, {"status":"ok","lines":3};
#     {"status":"error","reason":...} and exit code 1 if the file is missing.
#     stderr: the log.
#
# LIMITATIONS
#     Regular files only, no pipes or devices.
set -eu

log() { printf 'count-lines.sh: %s\n' "$1" >&2; }

fail() {
    log "$1: '${INPUT:-}'"
    printf '{"status":"error","reason":"%s"}\n' "$1"
    exit 1
}

[ -n "${INPUT:-}" ] || fail 'missing INPUT'
[ -f "$INPUT" ] && [ -r "$INPUT" ] || fail 'missing file'
lines=$(awk 'END { print NR }' <"$INPUT")
log "$lines lines in $INPUT"
printf '{"status":"ok","lines":%d}\n' "$lines"
