"""The bytes of requests and replies, and the replies to invalid requests."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_orchestrator.context.context import Context
from pytest_orchestrator.context.rpc.protocol import (
    MAX_DEPTH,
    OPERATIONS,
    Conversation,
    Request,
    serve,
)
from pytest_orchestrator.core.events import Change


@pytest.fixture
def ctx() -> Context:
    ctx = Context().bound("flash")
    ctx.set("dut.ports", [1, 2])
    ctx.set("dut.serial", "A7")
    ctx.set("n", None)
    return ctx


def reply_to(ctx: Context, line: str) -> str:
    return Conversation(ctx).receive(line.encode() + b"\n").decode()


@pytest.mark.parametrize(
    ("request_", "reply"),
    [
        ('{"op":"get","path":"dut.ports"}', '{"ok":true,"value":[1,2]}'),
        ('{"op":"get","path":"dut.ports.1","id":7}', '{"ok":true,"value":2,"id":7}'),
        ('{"op":"get","path":"n"}', '{"ok":true,"value":null}'),
        ('{"op":"get","path":"x"}', '{"ok":true,"value":null,"missing":true}'),
        ('{"op":"item","path":"dut.serial"}', '{"ok":true,"value":"A7"}'),
        ('{"op":"contains","path":"dut"}', '{"ok":true,"value":true}'),
        (
            '{"op":"full"}',
            '{"ok":true,"value":{"dut.ports":[1,2],"dut.serial":"A7","n":null}}',
        ),
        ('{"op":"keys"}', '{"ok":true,"value":["dut.ports","dut.serial","n"]}'),
        ('{"op":"missed"}', '{"ok":true,"value":[]}'),
        ('{"op":"set","path":"a","value":{"b":1.0}}', '{"ok":true,"value":null}'),
        ('{"op":"set","path":"a","value":null}', '{"ok":true,"value":null}'),
        ('{"op":"append","path":"dut.ports","value":3}', '{"ok":true,"value":null}'),
        ('{"op":"increment","path":"i"}', '{"ok":true,"value":1}'),
        ('{"op":"increment","path":"i","value":2.5}', '{"ok":true,"value":2.5}'),
        ('{"op":"delete","path":"n","who":"x"}', '{"ok":true,"value":null}'),
        ('{"op":"pop","path":"dut.ports"}', '{"ok":true,"value":2}'),
        ('{"op":"pop","path":"dut.ports","index":0}', '{"ok":true,"value":1}'),
        ('{"op":"history","path":"x"}', '{"ok":true,"value":[]}'),
        ('{"op":"last_modified","path":"x"}', '{"ok":true,"value":null}'),
        (
            '{"op":"delete","path":"dut.seral","id":3}',
            (
                '{"ok":false,"error":"no key \'dut.seral\' in the context '
                '(did you mean \'dut.serial\'?)","kind":"context-key","id":3}'
            ),
        ),
        (
            '{"op":"append","path":"dut.serial","value":1}',
            (
                '{"ok":false,"error":"append needs a list; \'dut.serial\' is text",'
                '"kind":"context-type"}'
            ),
        ),
        (
            '{"op":"set","path":"a","value":1,"who":3}',
            '{"ok":false,"error":"who is text, not a number","kind":"context-type"}',
        ),
        (
            '{"op":"restore","value":{"version":2}}',
            (
                '{"ok":false,"error":"this is no snapshot of a Context: '
                'Invalid enum value 2 - at `$.version`","kind":"context-type"}'
            ),
        ),
        (
            '{"op":"gett","path":"a","id":9}',
            (
                '{"ok":false,"error":"unknown op \'gett\' (did you mean \'get\'?)",'
                '"kind":"request","id":9}'
            ),
        ),
        ("{}", '{"ok":false,"error":"unknown op \'\'","kind":"request"}'),
        ('{"op":"get"}', '{"ok":false,"error":"get needs a path","kind":"request"}'),
        (
            '{"op":"set","path":"a"}',
            '{"ok":false,"error":"set needs a value","kind":"request"}',
        ),
        (
            '{"op":"restore"}',
            '{"ok":false,"error":"restore needs a value","kind":"request"}',
        ),
        (
            '{"id":4,"op":"get","pth":"a"}',
            (
                '{"ok":false,"error":"this is no request: '
                'Object contains unknown field `pth`","kind":"request","id":4}'
            ),
        ),
        (
            '{"id":5,"op":"get","path":',
            (
                '{"ok":false,"error":"this is no request: Input data was truncated",'
                '"kind":"request","id":5}'
            ),
        ),
        (
            '{"op":"set","path":"a","value":NaN}',
            (
                '{"ok":false,"error":"this is no request: JSON is malformed: '
                'invalid character (byte 31)","kind":"request"}'
            ),
        ),
    ],
)
def test_a_line_is_answered_by_a_line(ctx: Context, request_: str, reply: str) -> None:
    assert reply_to(ctx, request_) == reply + "\n"


def test_the_writer_is_the_handle_or_the_name_in_the_request(ctx: Context) -> None:
    reply_to(ctx, '{"op":"set","path":"a","value":1}')
    reply_to(ctx, '{"op":"set","path":"a","value":2,"who":"bench"}')

    assert [change["who"] for change in ctx.get_history("a")] == ["flash", "bench"]


def test_every_operation_that_needs_a_path_is_refused_without_one(ctx: Context) -> None:
    without = {op for op in OPERATIONS if serve(Request(op=op), ctx).error != f"{op} needs a path"}

    assert without == {"full", "keys", "missed", "snapshot", "restore"}


def test_an_exception_of_a_change_callback_becomes_a_reply(ctx: Context) -> None:
    def on_change(change: Change) -> None:
        raise OSError(f"no space left for {change.key} \ud800")

    reply = reply_to(ctx.bound("flash", on_change), '{"op":"set","path":"a","value":1}')

    assert reply == '{"ok":false,"error":"OSError: no space left for a \\\\ud800","kind":"error"}\n'


def test_requests_are_answered_in_their_order(ctx: Context) -> None:
    lines = b"".join(b'{"op":"increment","path":"i","id":%d}\n' % n for n in range(1, 9))

    replies = Conversation(ctx).receive(lines + b"\n  \n" + lines[:-1]).splitlines()

    assert [json.loads(reply)["value"] for reply in replies] == list(range(1, 16))
    assert [json.loads(reply)["id"] for reply in replies] == [*range(1, 9), *range(1, 8)]


def test_a_too_long_line_is_refused_with_its_id_and_the_next_is_answered(ctx: Context) -> None:
    conversation = Conversation(ctx, max_line=100)
    fits = b'{"id":1,"op":"set","path":"a","value":"%s"}' % (b"x" * 59)

    assert len(fits) == 100
    assert conversation.receive(fits + b"\n") == b'{"ok":true,"value":null,"id":1}\n'
    assert conversation.receive(b'{"id":2,"op":"set","path":"a","value":"' + b"x" * 900) == b""
    assert conversation.receive(b'"}\n{"op":"keys"}\n') == (
        b'{"ok":false,"error":"a request of more than 100 bytes; keep what is so large in a '
        b'file, and its path in the Context","kind":"request","id":2}\n'
        b'{"ok":true,"value":["dut.ports","dut.serial","n","a"]}\n'
    )


@pytest.mark.parametrize(
    "value",
    ["[" * 300 + "]" * 300, '{"a":' * 300 + "1" + "}" * 300, "[" * 100_000, '["\\\\",' * 300],
)
def test_a_too_deeply_nested_line_is_refused_before_it_is_parsed(ctx: Context, value: str) -> None:
    assert reply_to(ctx, f'{{"id":1,"op":"set","path":"a","value":{value}}}') == (
        '{"ok":false,"error":"a request that is nested more than 208 deep",'
        '"kind":"request","id":1}\n'
    )


@pytest.mark.parametrize(
    "value",
    [
        "[" * 200 + "]" * 200,
        json.dumps("[" * 300),
        json.dumps('\\"[{\\' * 300),
        json.dumps([{"a": []}] * 300),
    ],
)
def test_brackets_in_texts_and_flat_lists_do_not_count_as_nesting(ctx: Context, value: str) -> None:
    done = reply_to(ctx, f'{{"op":"set","path":"a","value":{value}}}')

    assert done == '{"ok":true,"value":null}\n'
    assert ctx.get("a") == json.loads(value)


def test_the_deepest_value_fits_into_a_snapshot(ctx: Context) -> None:
    deep: Any = []
    for _ in range(199):
        deep = [deep]
    ctx.set("a", deep)

    line = json.dumps({"op": "restore", "value": ctx.snapshot()})

    assert reply_to(ctx, line) == '{"ok":true,"value":null}\n'
    assert MAX_DEPTH == 208


fragments = st.sampled_from(
    [*'{}[]",:\n\\ 01', '"op"', '"get"', '"path"', '"a"', '"id":', "null", "\ud7ff", "1e999"]
)
requests = st.fixed_dictionaries(
    {"op": st.sampled_from(OPERATIONS)},
    optional={
        "path": st.sampled_from(["a", "", "a..b", 3, None, True, "\x00"]),
        "value": st.sampled_from([1, "x", None, [], {}, 1e308, {"version": 1, "values": {}}]),
        "index": st.sampled_from([0, -5, "x", None, 10**30]),
        "who": st.sampled_from(["x", 3, None, [1]]),
        "id": st.integers(0, 10**18),
    },
)


@given(
    st.lists(
        st.binary()
        | st.lists(fragments).map(lambda parts: "".join(parts).encode())
        | requests.map(lambda request: json.dumps(request).encode())
    ),
    st.integers(1, 50),
)
def test_every_line_gets_a_reply_and_no_line_raises(lines: list[bytes], piece: int) -> None:
    data = b"".join(line + b"\n" for line in lines)
    conversation = Conversation(Context(), max_line=60)
    pieces = [data[at : at + piece] for at in range(0, len(data), piece)]

    replies = b"".join(conversation.receive(one) for one in pieces).split(b"\n")

    assert replies.pop() == b""
    assert len(replies) == sum(bool(line.strip()) for line in data.split(b"\n"))
    assert {type(json.loads(reply)["ok"]) for reply in replies} <= {bool}
