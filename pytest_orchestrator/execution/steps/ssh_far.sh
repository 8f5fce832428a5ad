# Run a command on the other machine, and end its process tree when the connection ends.
# The lines before this file set `mark`, `dir` and `size`, and define `run`, which runs the command.
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

every() { # send a signal to the process group, and to all processes that have the mark
    for about in $(grep -ls "ORCHESTRATOR_MARK=$mark" /proc/[0-9]*/environ); do
        about=${about%/environ}
        kill -"$1" "${about#/proc/}"
    done
    kill -"$1" -- -"$step" || kill -"$1" "$step"
}

# Give the command its own process group for signals: by setsid, or else by job control.
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
