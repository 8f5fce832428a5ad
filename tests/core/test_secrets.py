"""The masker: which values it knows, which forms of them it finds, and what it leaves alone."""

import base64
import html
import json
import re
import shlex
import threading
from collections.abc import Callable
from urllib.parse import quote, quote_plus
from xml.sax.saxutils import escape, quoteattr

import markupsafe
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pytest_orchestrator.context.context import Context
from pytest_orchestrator.core.events import Change
from pytest_orchestrator.core.location import Place
from pytest_orchestrator.core.mask_stream import MaskStream, restored
from pytest_orchestrator.core.result import Ended, Failure, StepResult, Usage
from pytest_orchestrator.core.secrets import Masker

ODD = "kA9/+x'w\"Q7\\zé\u20ac"
LONG = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5NQ"


def masker(*values: object) -> Masker:
    found = Masker()
    for value in values:
        found.add(value)  # type: ignore[arg-type]
    return found


def lower(url: str) -> str:
    """Return a URL as .NET quotes it."""
    return re.sub("%..", lambda found: found[0].lower(), url)


def test_nothing_is_secret_at_first() -> None:
    one, text, value = Masker(), "TOKEN=abcdef", {"a": ["TOKEN"]}

    assert not one
    assert one.text(text) is text
    assert one.of(value) is value
    assert one.forms == ()
    assert one.stream() is None


def test_values_are_secret_by_the_name_of_their_variable_from_six_characters_on() -> None:
    one = Masker()
    one.learn(
        {"My_Token_2": "abcdef", "DB_PASSWD": "abcde", "HOME": "/home/x", "API_KEYS": "ghijkl"}
    )

    assert one.text("abcdef abcde /home/x ghijkl") == "*** abcde /home/x ***"


def test_patterns_of_names_can_be_replaced() -> None:
    one = Masker(["*_PIN", "CODE?"])
    one.learn({"MY_TOKEN": "abcdef", "bench_pin": "123456", "CODE1": "ghijkl", "CODE": "mnopqr"})

    assert one.text("abcdef 123456 ghijkl mnopqr") == "abcdef *** *** mnopqr"
    none = Masker([])
    none.learn({"MY_TOKEN": "abcdef", "": "ghijkl"})
    assert not none


def test_a_declared_variable_is_secret_however_short() -> None:
    one = Masker()
    one.learn({"PIN": "42"})
    one.declare(["env.PIN", "env.EMPTY"])
    one.learn({"PIN": "42", "EMPTY": ""})

    assert one.text("421") == "***1"
    assert one.text("") == ""


def test_a_declared_var_is_secret_with_all_that_is_in_it() -> None:
    one = Masker()
    one.declare(["vars.login", "vars.unknown"], {"login": {"user": "bob", "pin": 4711}, "x": "y"})

    assert one.text("bob:4711 login user x y") == "***:*** login user x y"


@pytest.mark.parametrize(
    ("key", "value", "hidden"),
    [
        ("session", "abc-1", "abc-1"),
        ("session.key.id", "abc-2", "abc-2"),
        ("session", {"key": {"id": "abc-3"}, "n": [1, None, True]}, "abc-3"),
        ("other", "abc-4", None),
        ("sessions", "abc-5", None),
    ],
)
def test_what_is_written_to_a_declared_key_or_below_it_is_secret(
    key: str, value: object, hidden: str | None
) -> None:
    one, context = Masker(), Context()
    one.watch(context)
    one.declare(["ctx.session"])

    context.bound("step").set(key, value)

    assert bool(one) == (hidden is not None)
    assert one.text(f"<{hidden}>") == ("<***>" if hidden else "<None>")


def test_a_declared_key_may_be_a_path_into_what_is_written() -> None:
    one, context = Masker(), Context()
    one.watch(context)
    one.declare(["ctx.login.key", "ctx.keys"])

    context.set("login", {"key": "abc-1", "user": "bob"})
    context.layer().append("keys", "abc-2")
    context.pop("login_count") if "login_count" in context else context.set("n", 1)

    assert one.text("abc-1 bob abc-2 1") == "*** bob *** 1"


def test_what_comes_back_from_a_snapshot_is_secret_too() -> None:
    old, one, context = Context(), Masker(), Context()
    old.set("session", "abc-1")
    one.watch(context)
    one.declare(["ctx.session"])

    context.restore(old.snapshot())

    assert one.text("abc-1") == "***"


@pytest.mark.parametrize("before", ["", "u", "u:", "me:"])
@pytest.mark.parametrize("after", ["", ".", "..", "..."])
@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
def test_base64_is_masked_whatever_stands_around_the_value(
    before: str, after: str, encode: "type[bytes]"
) -> None:
    text = encode(f"{before}{ODD}{after}".encode()).decode()

    left = masker(ODD).text(text)

    assert "***" in left
    # At its ends a value shares a character with what is beside it.
    assert len(left) <= len("***") + 4 + 8


@pytest.mark.parametrize(
    "text",
    [
        ODD,
        json.dumps({"key": ODD}),
        json.dumps({"key": ODD}, ensure_ascii=False),
        json.dumps({"key": f"Bearer {ODD}\n"}),
        repr({"key": ODD}),
        repr([f'"{ODD}']),
        ascii(ODD),
        repr(ODD.encode()),
        f"https://bench/?key={quote(ODD)}",
        f"https://bench/?key={quote(ODD, safe='')}",
        f"key={quote_plus(ODD + ' ')}",
        shlex.quote(f"KEY={ODD}"),
        f"key={lower(quote(ODD, safe=''))}",
        f"key={quote(ODD, safe=chr(33) + chr(39) + '*()')}",
        html.escape(ODD),
        html.escape(ODD, quote=False),
        str(markupsafe.escape(ODD)),
        quoteattr(ODD),
        escape(ODD),
        ODD.encode().hex(),
        ODD.encode().hex().upper(),
    ],
)
def test_quoted_forms_are_masked(text: str) -> None:
    left = masker(ODD).text(text)

    assert "***" in left
    assert not any(part in left for part in ("kA9", "Q7", "20ac", "E2%82", "€"))


def test_lines_of_a_key_are_masked_one_by_one() -> None:
    pem = "-----BEGIN KEY-----\nMIIEvQIBADAN\nBgkqhk\nAw==\n-----END KEY-----\n"

    assert (
        masker(pem).text("E   MIIEvQIBADAN\nE   BgkqhkX\nE   Aw==") == "E   ***\nE   ***X\nE   Aw=="
    )


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (f"assert '{LONG[:13]}...{LONG[-9:]}' == 'x'", "assert '***...***' == 'x'"),
        (f"key {LONG[:70]}… (72 characters)", "key ***… (72 characters)"),
        (f"{LONG[:40]}\n… 9 bytes are out …\n{LONG[50:]}", "***\n… 9 bytes are out …\n***"),
        (f"{LONG[:4]}{LONG[:4]}...{LONG[-4:]}{LONG[-4:]}", f"{LONG[:4]}***...***{LONG[-4:]}"),
        (f"{LONG[:3]}...{LONG[-3:]}", f"{LONG[:3]}...{LONG[-3:]}"),
        (f"{LONG[1:9]}... ...{LONG[-9:-1]}", f"{LONG[1:9]}... ...{LONG[-9:-1]}"),
        (f"{LONG[:9]}...{LONG[5:9]}...", f"***...{LONG[5:9]}..."),
    ],
)
def test_what_is_left_of_a_value_that_was_cut_is_masked(text: str, left: str) -> None:
    assert masker(LONG).text(text) == left


def test_the_longest_secret_wins() -> None:
    assert masker("abcdef", "abcdefghi").text("abcdefghi abcdef") == "*** ***"


def test_blank_text_and_booleans_are_never_secret() -> None:
    assert not masker("", " \n", None, True, False, {"a": []})


def test_names_and_keys_stay_and_numbers_are_masked_where_they_are_equal() -> None:
    one = masker("flash", 4711, 2.5)

    assert one.of({"flash": "a flash", "n": [4711, 47110, 2.5, True, None]}) == {
        "flash": "a ***",
        "n": ["***", 47110, "***", True, None],
    }


def test_keys_of_mappings_in_a_value_are_masked_and_none_is_lost() -> None:
    value = {"abcdef": 1, "x": [{"key abcdef": {"abcdef": "abcdef"}}], "***": 2, "YWJjZGVm": 3}

    assert masker("abcdef").value(value) == {
        "*** (2)": 1,
        "x": [{"key ***": {"***": "***"}}],
        "***": 2,
        "*** (3)": 3,
    }
    assert masker("other").value(value) == value


def test_keys_of_mappings_in_a_result_are_masked() -> None:
    change = Change("flash", "2026", "flash", "set", {"flash": 1}, {"flash": 2})
    ended = Ended(usage=Usage(seconds=0.0), value={"flash": [{"flash": 1}]})
    result = StepResult(
        step="flash",
        outcome="passed",
        changes=(change,),
        ended=ended,
        given={"flash": {"flash": 1}},
    )

    told = masker("flash").of(result)

    assert told.ended is not None
    assert told.ended.value == {"***": [{"***": 1}]}
    assert told.given == {"flash": {"***": 1}}
    assert told.changes == (
        Change("flash", "2026", "flash", "set", {"***": 1}, {"***": 2}, masked=True),
    )


def test_the_name_of_a_writer_is_masked_but_for_that_of_a_step() -> None:
    one = masker("flash")
    changes = tuple(Change("k", "2026", who, "set", None, 1) for who in ("flash", "my flash"))

    assert one.of(changes[0]).who == "***"
    told = one.of(StepResult(step="flash", outcome="passed", changes=changes))
    assert [change.who for change in told.changes] == ["flash", "my ***"]
    assert one.who("flash", "recipes/x.yaml[c]::flash") == "flash"
    assert one.who("flash", "recipes/flash.yaml::step") == "***"


LISTED: list[Callable[[str], str]] = [
    str,
    lambda text: text.encode().hex(),
    lambda text: text.encode().hex().upper(),
    quote,
    quote_plus,
    lambda text: quote(text, safe=""),
    lambda text: quote(text, safe="!*'()"),
    lambda text: lower(quote(text, safe="")),
    lambda text: lower(quote_plus(text)),
    html.escape,
    lambda text: html.escape(text, quote=False),
    lambda text: text.replace("&", "&amp;").replace("<", "&lt;"),
    lambda text: str(markupsafe.escape(text)),
    escape,
    lambda text: quoteattr(text)[1:-1],
    lambda text: html.escape(text).encode("ascii", "xmlcharrefreplace").decode(),
    lambda text: json.dumps(text)[1:-1],
    lambda text: json.dumps(text, ensure_ascii=False)[1:-1],
    lambda text: repr(text)[1:-1],
    lambda text: ascii(text)[1:-1],
    lambda text: repr(text.encode())[2:-1],
    lambda text: shlex.quote(text).removeprefix("'").removesuffix("'"),
    lambda text: base64.b64encode(text.encode()).decode().rstrip("="),
    lambda text: base64.urlsafe_b64encode(text.encode()).decode().rstrip("="),
]
"""All forms that docs/how-to/secrets.md lists, as programs make them."""


@given(
    st.text(min_size=4, max_size=30).filter(lambda text: len(text.strip()) >= 4),
    st.text("ab <&%\\'\"*", max_size=20),
    st.integers(1, 7),
)
@example("&#39;'\"'<b>", "", 1)
@example("a/b+c d", "%2f", 3)
@example("00\r0\n\t", "", 1)
def test_no_output_holds_a_listed_form_of_a_secret(secret: str, around: str, size: int) -> None:
    one = masker(secret)

    for make in LISTED:
        form = make(secret)
        text = f"{around}\n{form}\n{around}"
        told = [one.text(text), str(one.value([{text: 1}, text])), str(one.of({"k": text}))]
        stream = one.stream()
        assert stream is not None
        data = text.encode()
        pieces = [data[at : at + size] for at in range(0, len(data), size)]
        told.append(b"".join([*map(stream.feed, pieces), stream.end()]).decode())
        # Of base64 the last character may tell two bits of the value, and more of what follows.
        left = form[:-1] if make in LISTED[-2:] else form
        assert not [shown for shown in told if left in shown.replace("***", "\0")], form


def test_a_result_is_masked_but_for_its_ids_and_places() -> None:
    change = Change("flash", "2026", "flash", "set", {"x": 1}, "the flash")
    other = Change("flash", "2026", "flash", "set", None, 1)
    failure = Failure(kind="status", reason="no flash", place=Place(1, 2), detail=("flash",))
    result = StepResult(step="flash", outcome="failed", failure=failure, changes=(change, other))

    told = masker("flash").of(result)

    assert told.step == "flash"
    assert told.failure == Failure(
        kind="status", reason="no ***", place=Place(1, 2), detail=("***",)
    )
    assert told.changes == (
        Change("flash", "2026", "flash", "set", {"x": 1}, "the ***", masked=True),
        other,
    )
    assert told.changes[0].as_dict()["new"] == "the ***"


def test_many_threads_may_add_and_mask_at_once() -> None:
    one = Masker()
    begin = threading.Barrier(8)
    left: list[str] = []

    def work(number: int) -> None:
        begin.wait()
        for round_ in range(4):  # each secret more makes all others dearer
            value = f"secret-{number}-{round_}-"
            one.add(value)
            left.append(one.text(f"<{value}>"))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert set(left) == {"<***>"}


@given(
    st.lists(st.text("ab", min_size=1, max_size=4), min_size=1, max_size=4),
    st.lists(st.text("abc", max_size=6), max_size=8),
)
def test_a_stream_masks_pieces_as_it_would_the_whole(secrets: list[str], pieces: list[str]) -> None:
    forms = tuple(sorted({one.encode() for one in secrets}, key=len, reverse=True))
    whole, parts = MaskStream(forms), MaskStream(forms)
    data = "".join(pieces).encode()

    at_once = whole.feed(data) + whole.end()
    in_parts = b"".join([*(parts.feed(one.encode()) for one in pieces), parts.end()])

    assert in_parts == at_once
    assert not any(form in at_once.replace(b"***", b" ") for form in forms)
    assert restored(in_parts, parts.replaced) == data


def test_a_stream_holds_back_no_more_than_may_be_a_secret() -> None:
    stream = MaskStream((b"abcdef",))

    assert stream.feed(b"x ab") == b"x "
    assert stream.feed(b"x abc") == b"abx "
    assert stream.feed(b"def!") == b"***!"
    assert stream.end() == b""
