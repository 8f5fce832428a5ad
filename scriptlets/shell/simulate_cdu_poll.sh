#!/bin/sh
# NAME
#     simulate_cdu_poll.sh - poll a simulated coolant distribution unit (CDU)
#
# DESCRIPTION
#     Simulates the poller of a real unit. The secondary loop supplies racks
#     with coolant of some 32 degC at 320 kPa, which returns at 42 degC and
#     180 kPa. Every reading scatters around these values, and the return
#     temperature follows a heat load that oscillates slowly.
#
# USAGE
#     POLLS=10 SEED=7 READINGS=out/readings.jsonl scriptlets/shell/simulate_cdu_poll.sh
#
#     POLLS     number of readings, 1 to 1000 (default 10)
#     SEED      the same seed gives the same readings, 0 to 999999999 (default 1)
#     READINGS  a file to write the readings to, one JSON object a line (default: none)
#
# RETURNS
#     stdout: exactly one JSON object, {"status": "ok", "polls": 10, "readings": [...]}
#     with readings of the form {"poll": 1, "supply_pressure_kpa": 320.4,
#     "return_pressure_kpa": 179.2, "supply_temperature_c": 32.05,
#     "return_temperature_c": 41.87}; {"status": "error", "reason": ...} and exit
#     code 1 if an argument is wrong or READINGS cannot be written.
#     stderr: the log.
#
# LIMITATIONS
#     A steady unit: no start-up, no alarms, and no time passes between polls.
set -eu

log() { printf 'simulate_cdu_poll.sh: %s\n' "$1" >&2; }

fail() {
    log "$1"
    printf '{"status": "error", "reason": "%s"}\n' "$1"
    exit 1
}

# whole NAME VALUE LOW HIGH: fail unless VALUE is a whole number that the shell cannot read as octal
whole() {
    wrong="$1 must be a whole number from $3 to $4"
    case $2 in '' | *[!0-9]* | 0?* | ??????????*) fail "$wrong" ;; esac
    [ "$2" -ge "$3" ] && [ "$2" -le "$4" ] || fail "$wrong"
}

# around CENTRE SPREAD: set `value` to a pseudo-random whole number within CENTRE +- SPREAD
around() {
    state=$(((state * 1103515245 + 12345) % 2147483648))
    value=$(($1 - $2 + (state / 65536) % (2 * $2 + 1)))
}

polls=${POLLS:-10}
seed=${SEED:-1}
whole POLLS "$polls" 1 1000
whole SEED "$seed" 0 999999999

state=$seed
lines=
poll=0
while [ "$poll" -lt "$polls" ]; do
    # the heat load oscillates by 0.4 K with a period of 16 polls; temperatures are in 0.01 degC
    phase=$((poll % 16))
    [ "$phase" -le 8 ] || phase=$((16 - phase))
    poll=$((poll + 1))
    around 3200 25 && supply_pressure=$((value / 10)).$((value % 10))
    around 1800 20 && return_pressure=$((value / 10)).$((value % 10))
    around 3200 15 && supply_temperature=$(printf '%d.%02d' $((value / 100)) $((value % 100)))
    around $((4160 + phase * 10)) 20 && return_temperature=$(printf '%d.%02d' $((value / 100)) $((value % 100)))
    line="{\"poll\": $poll, \"supply_pressure_kpa\": $supply_pressure, \"return_pressure_kpa\": $return_pressure, "
    line="$line\"supply_temperature_c\": $supply_temperature, \"return_temperature_c\": $return_temperature}"
    log "poll $poll: $supply_pressure kPa, $supply_temperature degC out; $return_pressure kPa, $return_temperature degC back"
    lines="$lines$line
"
done

if [ -n "${READINGS:-}" ]; then
    case $READINGS in ?*/*) mkdir -p -- "${READINGS%/*}" || fail 'READINGS cannot be written' ;; esac
    { printf '%s' "$lines" >"$READINGS"; } || fail 'READINGS cannot be written'
fi
joined=$(printf '%s' "$lines" | paste -s -d, -)
printf '{"status": "ok", "polls": %d, "readings": [%s]}\n' "$polls" "$joined"
