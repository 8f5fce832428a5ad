"""Masker: the values that are secret, the forms that it masks, and the texts that it keeps."""

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
import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pytest_orchestrator.context.context import Context
from pytest_orchestrator.core.events import Change
from pytest_orchestrator.core.location import Place
from pytest_orchestrator.core.mask_stream import MaskStream, unmask
from pytest_orchestrator.core.result import Ended, Failure, Measurement, StepResult
from pytest_orchestrator.core.secrets import Masker

ODD = "kA9/+x'w\"Q7\\zé\u20ac"
LONG = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5NQ"


def masker(*values: object) -> Masker:
    mask = Masker()
    for value in values:
        mask.add(value)  # type: ignore[arg-type]
    return mask


def lower(url: str) -> str:
    """Return a URL with lower-case escapes, as .NET writes them."""
    return re.sub("%..", lambda match: match[0].lower(), url)


def test_nothing_is_secret_at_first() -> None:
    mask, text, value = Masker(), "TOKEN=abcdef", {"a": ["TOKEN"]}

    assert not mask
    assert mask.text(text) is text
    assert mask.mask(value) is value
    assert mask.forms == ()
    assert mask.stream() is None


def test_values_are_secret_by_the_name_of_their_variable_from_six_characters_on() -> None:
    mask = Masker()
    mask.add_environment(
        {"My_Token_2": "abcdef", "DB_PASSWD": "abcde", "HOME": "/home/x", "API_KEYS": "ghijkl"}
    )

    assert mask.text("abcdef abcde /home/x ghijkl") == "*** abcde /home/x ***"


def test_patterns_of_names_can_be_replaced() -> None:
    mask = Masker(["*_PIN", "CODE?"])
    mask.add_environment(
        {"MY_TOKEN": "abcdef", "bench_pin": "123456", "CODE1": "ghijkl", "CODE": "mnopqr"}
    )

    assert mask.text("abcdef 123456 ghijkl mnopqr") == "abcdef *** *** mnopqr"
    none = Masker([])
    none.add_environment({"MY_TOKEN": "abcdef", "": "ghijkl"})
    assert not none


def test_a_declared_variable_is_secret_however_short() -> None:
    mask = Masker()
    mask.add_environment({"PIN": "42"})
    mask.declare(["env.PIN", "env.EMPTY"])
    mask.add_environment({"PIN": "42", "EMPTY": ""})

    assert mask.text("421") == "***1"
    assert mask.text("") == ""


def test_all_texts_and_numbers_in_a_declared_var_are_secret() -> None:
    mask = Masker()
    mask.declare(["vars.login", "vars.unknown"], {"login": {"user": "bob", "pin": 4711}, "x": "y"})

    assert mask.text("bob:4711 login user x y") == "***:*** login user x y"


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
def test_values_written_to_a_declared_key_or_below_it_are_secret(
    key: str, value: object, hidden: str | None
) -> None:
    mask, context = Masker(), Context()
    mask.watch(context)
    mask.declare(["ctx.session"])

    context.bound("step").set(key, value)

    assert bool(mask) == (hidden is not None)
    assert mask.text(f"<{hidden}>") == ("<***>" if hidden else "<None>")


def test_a_declared_key_may_be_a_path_into_a_written_value() -> None:
    mask, context = Masker(), Context()
    mask.watch(context)
    mask.declare(["ctx.login.key", "ctx.keys"])

    context.set("login", {"key": "abc-1", "user": "bob"})
    context.layer().append("keys", "abc-2")
    context.pop("login_count") if "login_count" in context else context.set("n", 1)

    assert mask.text("abc-1 bob abc-2 1") == "*** bob *** 1"


def test_values_restored_from_a_snapshot_are_secret() -> None:
    old, mask, context = Context(), Masker(), Context()
    old.set("session", "abc-1")
    mask.watch(context)
    mask.declare(["ctx.session"])

    context.restore(old.snapshot())

    assert mask.text("abc-1") == "***"


@pytest.mark.parametrize("before", ["", "u", "u:", "me:"])
@pytest.mark.parametrize("after", ["", ".", "..", "..."])
@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
def test_base64_of_a_value_within_other_text_is_masked(
    before: str, after: str, encode: "type[bytes]"
) -> None:
    text = encode(f"{before}{ODD}{after}".encode()).decode()

    left = masker(ODD).text(text)

    assert "***" in left
    # At both ends a base64 character may hold bits of the value and of its neighbour.
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
def test_the_rest_of_a_cut_value_is_masked(text: str, left: str) -> None:
    assert masker(LONG).text(text) == left


def test_the_longest_secret_wins() -> None:
    assert masker("abcdef", "abcdefghi").text("abcdefghi abcdef") == "*** ***"


def test_blank_text_and_booleans_are_never_secret() -> None:
    assert not masker("", " \n", None, True, False, {"a": []})


def test_keys_are_kept_and_equal_numbers_are_masked() -> None:
    mask = masker("flash", 4711, 2.5)

    assert mask.mask({"flash": "a flash", "n": [4711, 47110, 2.5, True, None]}) == {
        "flash": "a ***",
        "n": ["***", 47110, "***", True, None],
    }


def test_the_line_of_a_measurement_is_kept_and_its_equal_value_is_masked() -> None:
    measured = Measurement(name="4711", line=4711, value=4711, high=5000, verdict="pass")

    masked = masker(4711).mask(measured)

    assert masked == msgspec.structs.replace(measured, value="***")


def test_keys_of_mappings_in_a_value_are_masked_without_loss() -> None:
    value = {"abcdef": 1, "x": [{"key abcdef": {"abcdef": "abcdef"}}], "***": 2, "YWJjZGVm": 3}

    assert masker("abcdef").mask_json(value) == {
        "*** (2)": 1,
        "x": [{"key ***": {"***": "***"}}],
        "***": 2,
        "*** (3)": 3,
    }
    assert masker("other").mask_json(value) == value


def test_keys_of_mappings_in_a_result_are_masked() -> None:
    change = Change("flash", "2026", "flash", "set", {"flash": 1}, {"flash": 2})
    ended = Ended(value={"flash": [{"flash": 1}]})
    result = StepResult(
        step="flash",
        outcome="passed",
        changes=(change,),
        ended=ended,
        inputs={"flash": {"flash": 1}},
    )

    masked = masker("flash").mask(result)

    assert masked.ended is not None
    assert masked.ended.value == {"***": [{"***": 1}]}
    assert masked.inputs == {"flash": {"***": 1}}
    assert masked.changes == (
        Change("flash", "2026", "flash", "set", {"***": 1}, {"***": 2}, masked=True),
    )


def test_the_name_of_a_writer_is_masked_unless_it_is_the_step() -> None:
    mask = masker("flash")
    changes = tuple(Change("k", "2026", who, "set", None, 1) for who in ("flash", "my flash"))

    assert mask.mask(changes[0]).who == "***"
    masked = mask.mask(StepResult(step="flash", outcome="passed", changes=changes))
    assert [change.who for change in masked.changes] == ["flash", "my ***"]
    assert mask.mask_writer("flash", "recipes/x.yaml[c]::flash") == "flash"
    assert mask.mask_writer("flash", "recipes/flash.yaml::step") == "***"


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
"""Functions that make the forms that docs/how-to/secrets.md lists."""


@given(
    st.text(min_size=4, max_size=30).filter(lambda text: len(text.strip()) >= 4),
    st.text("ab <&%\\'\"*", max_size=20),
    st.integers(1, 7),
)
@example("&#39;'\"'<b>", "", 1)
@example("a/b+c d", "%2f", 3)
@example("00\r0\n\t", "", 1)
def test_no_output_holds_a_listed_form_of_a_secret(secret: str, around: str, size: int) -> None:
    mask = masker(secret)

    for make in LISTED:
        form = make(secret)
        text = f"{around}\n{form}\n{around}"
        outputs = [
            mask.text(text),
            str(mask.mask_json([{text: 1}, text])),
            str(mask.mask({"k": text})),
        ]
        stream = mask.stream()
        assert stream is not None
        data = text.encode()
        pieces = [data[at : at + size] for at in range(0, len(data), size)]
        outputs.append(b"".join([*map(stream.feed, pieces), stream.end()]).decode())
        # The last character of base64 may hold only two bits of the value, so it may remain.
        left = form[:-1] if make in LISTED[-2:] else form
        assert not [output for output in outputs if left in output.replace("***", "\0")], form


def test_a_result_is_masked_except_ids_and_positions() -> None:
    change = Change("flash", "2026", "flash", "set", {"x": 1}, "the flash")
    other = Change("flash", "2026", "flash", "set", None, 1)
    failure = Failure(kind="status", reason="no flash", place=Place(1, 2), detail=("flash",))
    result = StepResult(step="flash", outcome="failed", failure=failure, changes=(change, other))

    masked = masker("flash").mask(result)

    assert masked.step == "flash"
    assert masked.failure == Failure(
        kind="status", reason="no ***", place=Place(1, 2), detail=("***",)
    )
    assert masked.changes == (
        Change("flash", "2026", "flash", "set", {"x": 1}, "the ***", masked=True),
        other,
    )
    assert masked.changes[0].as_dict()["new"] == "the ***"


def test_many_threads_may_add_and_mask_at_once() -> None:
    mask = Masker()
    begin = threading.Barrier(8)
    left: list[str] = []

    def work(number: int) -> None:
        begin.wait()
        for round_ in range(4):  # few, since each secret makes masking slower
            value = f"secret-{number}-{round_}-"
            mask.add(value)
            left.append(mask.text(f"<{value}>"))

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
def test_a_stream_masks_chunks_as_it_masks_the_whole(secrets: list[str], pieces: list[str]) -> None:
    forms = tuple(sorted({secret.encode() for secret in secrets}, key=len, reverse=True))
    whole, parts = MaskStream(forms), MaskStream(forms)
    data = "".join(pieces).encode()

    at_once = whole.feed(data) + whole.end()
    in_parts = b"".join([*(parts.feed(piece.encode()) for piece in pieces), parts.end()])

    assert in_parts == at_once
    assert not any(form in at_once.replace(b"***", b" ") for form in forms)
    assert unmask(in_parts, parts.replaced) == data


def test_a_stream_holds_back_only_the_possible_beginning_of_a_secret() -> None:
    stream = MaskStream((b"abcdef",))

    assert stream.feed(b"x ab") == b"x "
    assert stream.feed(b"x abc") == b"abx "
    assert stream.feed(b"def!") == b"***!"
    assert stream.end() == b""
