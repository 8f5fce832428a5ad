#!/bin/sh
# NAME
#     simulate_psu.sh - a simulated power supply that reads commands from stdin
#
# DESCRIPTION
#     Simulates a supply with two channels. Each line of stdin is a command:
#
#     PIN text        unlock the supply; it prints the PIN to its log, as such firmware does
#     INST n          channel 1 or 2 (default 1)
#     VOLT x          the set value, -24 to 24 (default 0)
#     GAIN n          gain of the control loop, 1 to 10 (default 1): ripple grows with it
#     LOAD name       the load: idle, half, full or short (default idle)
#     WAIT n          simulate n minutes: the drift halves in each
#     OUTP ON|OFF     switch the output
#
# USAGE
#     printf 'VOLT 12\nLOAD full\nOUTP ON\n' | scriptlets/shell/simulate_psu.sh
#
# RETURNS
#     stdout: exactly one JSON object, {"status": "ok", "serial": "SIM-0007", "channel": 1,
#     "volts": 11.976, "ripple_mv": 26.0, "drift_mv": 40.0, "tripped": false};
#     {"status": "error", "reason": ...} and exit code 1 if a command is wrong.
#     Exit code 3 if a short circuit has tripped the output, which is no error of the supply.
#     stderr: the log.
#
# LIMITATIONS
#     It keeps no state: each run starts with the power-on state.
set -eu
export LC_ALL=C

exec awk '
function log_line(text) { print "simulate_psu.sh: " text >"/dev/stderr" }
function fail(why) {
    log_line(why)
    printf "{\"status\": \"error\", \"reason\": \"%s\"}\n", why
    failed = 1
    exit 1
}
function within(low, high) {
    if ($2 !~ /^-?[0-9]+(\.[0-9]+)?$/ || $2 < low || $2 > high)
        fail($1 " must be a number from " low " to " high)
    return $2 + 0
}
BEGIN { channel = 1; gain = 1; amps["idle"] = 0; amps["half"] = 1; amps["full"] = 2; amps["short"] = 99
        load = "idle"; log_line("firmware 2.4, serial SIM-0007") }
NF == 0 { next }
$1 == "PIN"  { log_line("unlocked with PIN " $2); next }
$1 == "INST" { channel = within(1, 2); next }
$1 == "VOLT" { set_value = within(-24, 24); next }
$1 == "GAIN" { gain = within(1, 10); next }
$1 == "WAIT" { minutes += within(0, 1000); next }
$1 == "LOAD" { if (!($2 in amps)) fail("LOAD must be idle, half, full or short"); load = $2; next }
$1 == "OUTP" { if ($2 != "ON" && $2 != "OFF") fail("OUTP must be ON or OFF"); output = $2 == "ON"; next }
{ fail("no such command") }
END {
    if (failed) exit 1
    tripped = output && load == "short"
    is_on = output && !tripped
    sign = set_value < 0 ? -1 : 1
    volts = is_on ? set_value - sign * 0.012 * amps[load] : 0
    ripple = is_on ? 8 + 9 * amps[load] + 3 * (gain - 1) : 0
    drift = is_on ? 40 * 0.5 ^ minutes : 0
    log_line("channel " channel " is " (tripped ? "tripped" : is_on ? "on" : "off"))
    printf "{\"status\": \"ok\", \"serial\": \"SIM-0007\", \"channel\": %d, \"volts\": %.3f, ", channel, volts
    printf "\"ripple_mv\": %.1f, \"drift_mv\": %.1f, \"tripped\": %s}\n", ripple, drift, tripped ? "true" : "false"
    exit tripped ? 3 : 0
}
'
