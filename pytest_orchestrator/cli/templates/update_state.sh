#!/usr/bin/env bash
# NAME
#     update_state.sh - read and write the live Context from a shell
#
# DESCRIPTION
#     In a step it uses the Context of that step: other processes see a change at once, and the
#     history names the step as its author. Outside of a step it uses the Context that
#     `pytest --recipe-serve` or `pytest-orchestrator serve` serves for this folder or one above.
#     It needs bash and no other program; no Python starts.
#
# USAGE
#     update_state.sh get PATH [--text]      print a value as JSON; --text: a text without quotes
#     update_state.sh set KEY JSON           store a value
#     update_state.sh set KEY --text TEXT    store a text without parsing it
#     update_state.sh append KEY JSON        add an item to a list; also with --text TEXT
#     update_state.sh increment KEY [N]      add to a number, and print the sum (default: 1)
#     update_state.sh delete KEY             remove a key
#     update_state.sh pop KEY [INDEX]        remove an item of a list, and print it (default: the last)
#     update_state.sh full                   print all values, one JSON object
#     update_state.sh keys                   print all keys, one JSON list
#     update_state.sh history KEY            print all changes of a key, one JSON list
#
#     --who NAME   author that is recorded with a change (default: the step)
#
# RETURNS
#     stdout: one line of JSON, or nothing if there is no result. stderr: error messages.
#     Exit code 0; 1 if the Context refuses the request (no such key, not a list); 2 if the command
#     line is wrong or no Context is served.
#
# LIMITATIONS
#     TCP only, since bash cannot open Unix sockets. A value has no NUL bytes and at most 4 MiB.
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

# quoted TEXT: set `quoted` to the JSON string of a text
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

# plain JSON: set `plain` to the text of a JSON string
plain() {
    plain=${1#\"}
    plain=${plain%\"}
    plain=${plain//\\\"/\"}
    printf -v plain '%b.' "$plain"
    plain=${plain%.}
}

# find_server: set `address` and `token`
find_server() {
    local folder=$PWD file content
    address=${ORCHESTRATOR_ADDRESS:-}
    token=${ORCHESTRATOR_TOKEN:-}
    [[ -z $address ]] || return 0
    while :; do
        file=${folder%/}/.orchestrator/server.json
        [[ ! -f $file ]] || break
        [[ -n $folder && $folder != / ]] || fail "no Context is served: ORCHESTRATOR_ADDRESS is not set, and .orchestrator/server.json is in no folder from here up; start one by \`pytest-orchestrator serve\`, or \`pytest --recipe-serve\`" 2
        folder=${folder%/*}
    done
    content=$(<"$file") || fail "$file cannot be read" 2
    [[ $content =~ \"address\":\ *\"([^\"]*)\" ]] || fail "$file does not say where a Context is served" 2
    address=${BASH_REMATCH[1]}
    [[ $content =~ \"token\":\ *\"([^\"]*)\" ]] && token=${BASH_REMATCH[1]}
}

# request LINE: send a request and set `reply`
request() {
    local rest
    printf '%s\n' "$1" >&3
    # Bash reads a socket byte by byte, so `head` reads the rest of a long reply.
    IFS= read -r -n 4096 reply <&3 || [[ -n $reply ]] || fail 'the Context has closed the connection' 2
    if ((${#reply} == 4096)); then
        rest=$(head -n 1 <&3)
        reply+=$rest
    fi
}

# Arguments: the operation, a key, a value; options at any place.
op= key= value= has_key= has_value= as_text= who=
while (($#)); do
    case $1 in
    --who) (($# > 1)) || usage '--who needs a name' && quoted "$2" && who=",\"who\":$quoted" && shift ;;
    --text)
        as_text=1
        if [[ $op != get ]]; then
            (($# > 1)) || usage '--text needs a text'
            [[ -z $has_value ]] || usage 'a value and --text exclude each other'
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
            usage "one argument too many: '$1'"
        fi
        ;;
    esac
    shift
done

case $op in
full | keys) [[ -z $has_key ]] || usage "$op takes no key" ;;
get | delete | history | set | append | increment | pop) [[ -n $has_key ]] || usage "$op needs a key" ;;
'') usage 'name an operation' ;;
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

find_server
[[ $address != */* ]] || fail "bash cannot use a Unix socket such as $address; use pytest-orchestrator ctx" 2
host=${address%:*}
host=${host#[}
host=${host%]}
{ exec 3<>"/dev/tcp/$host/${address##*:}"; } 2>/dev/null || fail "no Context is served at $address; start one by \`pytest-orchestrator serve\`, or \`pytest --recipe-serve\`" 2

# The last of equal members wins. So the value comes first: nothing in it can change the request.
line='{'
case $op in
pop) [[ -z $has_value ]] || line+="\"index\":$value," ;;
*) [[ -z $has_value ]] || line+="\"value\":$value," ;;
esac
remote_op=$op
[[ $op != get ]] || remote_op=item
line+="\"op\":\"$remote_op\"${has_key:+,\"path\":$key}$who"
quoted "$token"
if ((${#line} > 60000)); then # the first request of a connection must be short
    request "{\"op\":\"missed\",\"token\":$quoted}"
fi
request "$line,\"token\":$quoted}"

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
*) fail "the server at $address is no Context" 2 ;;
esac
