#!/usr/bin/env bash
# NAME
#     update_state.sh - read and write the live Context from a shell
#
# DESCRIPTION
#     Asks the Context that a step runs on, while it runs: what it writes is there at once for
#     everybody else, and stands in the history as written by the step. Outside a step it asks the
#     Context that `pytest --recipe-serve` or `pytest-orchestrator serve` serves for this folder or
#     one above. Plain bash: no Python starts, and nothing else is needed.
#
# USAGE
#     update_state.sh get PATH [--text]      print a value as JSON; --text: a text as it is
#     update_state.sh set KEY JSON           store a value
#     update_state.sh set KEY --text TEXT    store a text, whatever is in it
#     update_state.sh append KEY JSON        add an item to a list; also with --text TEXT
#     update_state.sh increment KEY [N]      add to a number, and print the sum (default: 1)
#     update_state.sh delete KEY             remove a key
#     update_state.sh pop KEY [INDEX]        remove an item of a list, and print it (default: the last)
#     update_state.sh full                   print all values, one JSON object
#     update_state.sh keys                   print all keys, one JSON list
#     update_state.sh history KEY            print all changes of a key, one JSON list
#
#     --who NAME   who changes it (default: the step)
#
# RETURNS
#     stdout: one line of JSON, or nothing where there is nothing to tell. stderr: what is wrong.
#     Exit code 0; 1 where the Context refuses (no such key, not a list); 2 where the command line
#     is wrong or no Context is served.
#
# LIMITATIONS
#     TCP only, no Unix sockets: bash knows no more. A value has no NUL bytes and at most 4 MiB.
set -u
export LC_ALL=C

usage() {
    printf 'update_state.sh: %s\n' "$1" >&2
    printf 'usage: update_state.sh full|keys | get PATH [--text] | set|append KEY JSON|--text TEXT |\n' >&2
    printf '       increment KEY [N] | pop KEY [INDEX] | delete|history KEY, and --who NAME\n' >&2
    exit 2
}

fail() {
    printf 'update_state.sh: %s\n' "$1" >&2
    exit "$2"
}

# quoted TEXT: sets `quoted` to it as JSON
quoted() {
    local code hex char
    quoted=${1//\\/\\\\}
    quoted=${quoted//\"/\\\"}
    if [[ $quoted == *[[:cntrl:]]* ]]; then
        for ((code = 1; code < 32; code++)); do
            printf -v hex '%04x' "$code"
            printf -v char '%b' "\\x${hex:2}"
            quoted=${quoted//"$char"/\\u$hex}
        done
    fi
    quoted="\"$quoted\""
}

# plain JSON: sets `plain` to the text that a JSON text stands for
plain() {
    plain=${1#\"}
    plain=${plain%\"}
    plain=${plain//\\\"/\"}
    printf -v plain '%b.' "$plain"
    plain=${plain%.}
}

# whereabouts: sets `address` and `token`
whereabouts() {
    local folder=$PWD file told
    address=${ORCHESTRATOR_ADDRESS:-}
    token=${ORCHESTRATOR_TOKEN:-}
    [[ -z $address ]] || return 0
    while :; do
        file=${folder%/}/.orchestrator/server.json
        [[ ! -f $file ]] || break
        [[ -n $folder && $folder != / ]] || fail "no Context is served: ORCHESTRATOR_ADDRESS is not set, and .orchestrator/server.json is in no folder from here up; start one by \`pytest-orchestrator serve\`, or \`pytest --recipe-serve\`" 2
        folder=${folder%/*}
    done
    told=$(<"$file") || fail "$file cannot be read" 2
    [[ $told =~ \"address\":\ *\"([^\"]*)\" ]] || fail "$file does not say where a Context is served" 2
    address=${BASH_REMATCH[1]}
    [[ $told =~ \"token\":\ *\"([^\"]*)\" ]] && token=${BASH_REMATCH[1]}
}

# asked LINE: sends it and sets `reply`
asked() {
    local rest
    printf '%s\n' "$1" >&3
    # Bash reads a socket byte by byte; what is long is left to a program.
    IFS= read -r -n 4096 reply <&3 || [[ -n $reply ]] || fail 'the Context has closed the connection' 2
    if ((${#reply} == 4096)); then
        rest=$(head -n 1 <&3)
        reply+=$rest
    fi
}

# Words: the operation, a key, a value; options anywhere.
op= key= value= has_key= has_value= as_text= who=
while (($#)); do
    case $1 in
    --who) (($# > 1)) || usage '--who needs a name' && quoted "$2" && who=",\"who\":$quoted" && shift ;;
    --text)
        as_text=1
        if [[ $op != get ]]; then
            (($# > 1)) || usage '--text needs a text'
            [[ -z $has_value ]] || usage 'there is a value and a text'
            quoted "$2"
            value=$quoted has_value=1
            shift
        fi
        ;;
    *)
        if [[ -z $op ]]; then
            op=$1
        elif [[ -z $has_key ]]; then
            quoted "$1"
            key=$quoted has_key=1
        elif [[ -z $has_value ]]; then
            value=${1//$'\n'/ } has_value=1
            [[ $value == *[![:space:]]* ]] || usage 'a value is empty; write --text for a text'
        else
            usage "one word too many: '$1'"
        fi
        ;;
    esac
    shift
done

case $op in
full | keys) [[ -z $has_key ]] || usage "$op takes no key" ;;
get | delete | history | set | append | increment | pop) [[ -n $has_key ]] || usage "$op needs a key" ;;
'') usage 'say what to do' ;;
*) usage "no operation '$op'" ;;
esac
case $op in
set | append) [[ -n $has_value ]] || usage "$op needs a value" ;;
full | keys | get | delete | history) [[ -z $has_value ]] || usage "$op takes no value" ;;
*) [[ -z $as_text ]] || usage "$op takes a number, no text" ;;
esac
if [[ $op == pop && -n $has_value && ! $value =~ ^-?[0-9]+$ ]]; then
    usage "the index of pop is a whole number, not '$value'"
fi

whereabouts
[[ $address != */* ]] || fail "bash cannot use a Unix socket such as $address; use pytest-orchestrator ctx" 2
host=${address%:*}
host=${host#[}
host=${host%]}
{ exec 3<>"/dev/tcp/$host/${address##*:}"; } 2>/dev/null || fail "no Context is served at $address; start one by \`pytest-orchestrator serve\`, or \`pytest --recipe-serve\`" 2

# What stands later in the line wins: nothing in a value can change what is asked.
line='{'
case $op in
pop) [[ -z $has_value ]] || line+="\"index\":$value," ;;
*) [[ -z $has_value ]] || line+="\"value\":$value," ;;
esac
asks=$op
[[ $op != get ]] || asks=item
line+="\"op\":\"$asks\"${has_key:+,\"path\":$key}$who"
quoted "$token"
if ((${#line} > 60000)); then # the first request must be a short one
    asked "{\"op\":\"missed\",\"token\":$quoted}"
fi
asked "$line,\"token\":$quoted}"

case $reply in
'{"ok":true,"value":'*)
    reply=${reply#'{"ok":true,"value":'}
    reply=${reply%\}}
    case $op in
    set | append | delete) ;;
    get)
        if [[ -n $as_text && $reply == \"* ]]; then
            plain "$reply"
            reply=$plain
        fi
        printf '%s\n' "$reply"
        ;;
    *) printf '%s\n' "$reply" ;;
    esac
    ;;
'{"ok":false,"error":'*)
    reply=${reply#'{"ok":false,"error":'}
    kind=${reply##*,\"kind\":\"}
    plain "${reply%,\"kind\":*}"
    case $plain in
    *'JSON is malformed'* | *'Input data was truncated'*) [[ -z $has_value ]] || plain="'$value' is not JSON; write --text for a text" ;;
    esac
    [[ $kind == request* ]] && fail "$plain" 2
    fail "$plain" 1
    ;;
*) fail "what answers at $address is no Context" 2 ;;
esac
