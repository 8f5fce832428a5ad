# Runs a command on the far side of a connection, and ends all of it when the connection ends.
# Above this stand `mark`, `dir`, `size`, and `run`, which becomes the command.
exec 3<&0
input=/dev/null
if [ "$size" -gt 0 ]; then
    input=$(mktemp) || exit 126
    head -c "$size" <&3 >"$input"
fi
exec 4<"$input"
[ "$size" -eq 0 ] || rm -f "$input"
if [ -n "$dir" ]; then
    cd "$dir" || exit 126
fi

every() { # sends a signal to all that bears the mark, wherever it has gone, and to the group
    for about in $(grep -ls "ORCHESTRATOR_MARK=$mark" /proc/[0-9]*/environ); do
        about=${about%/environ}
        kill -"$1" "${about#/proc/}"
    done
    kill -"$1" -- -"$step" || kill -"$1" "$step"
}

# The group of its own that the signals go to: by setsid, or where there is none by job control.
if command -v setsid >/dev/null 2>&1; then
    (run setsid) 3<&- <&4 &
else
    set -m
    (run) 3<&- <&4 &
    set +m
fi
step=$!
(
    exec 4<&-
    cat <&3
    every TERM
    sleep 2
    every KILL
) >/dev/null 2>&1 &
watch=$!
exec 3<&- 4<&-
wait "$step"
code=$?
{
    kill "$watch"
    every TERM && sleep 0.2 && every KILL
} >/dev/null 2>&1
exit "$code"
