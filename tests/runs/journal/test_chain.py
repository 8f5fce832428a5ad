"""Hash chain of journal lines: writing, reading, detection of changes."""

from __future__ import annotations

import msgspec
import pytest

from pytest_orchestrator.core.events import AnyEvent, ContextChanged, RunStarted
from pytest_orchestrator.runs.journal.chain import Chain, JournalDamaged

EVENTS: list[AnyEvent] = [
    RunStarted(schema_version="1.0", run="20261125T101502Z-7f3a"),
    ContextChanged(key="psu.state", op="set", who="set", new={"on": True, "text": 'a"}\né'}),
    ContextChanged(key="psu.state", op="delete", who="reset"),
]


def written(events: list[AnyEvent] = EVENTS) -> list[bytes]:
    chain, lines = Chain(), []
    for number, event in enumerate(events):
        lines.append(chain.line(event, 1_764_065_702_000_000 + number))
        chain.advance(lines[-1])
    return [line.removesuffix(b"\n") for line in lines]


def damage(lines: list[bytes]) -> str:
    chain = Chain()
    with pytest.raises(JournalDamaged) as caught:
        list(map(chain.verify, lines))
    return str(caught.value)


def test_lines_are_read_as_they_were_written() -> None:
    chain = Chain()
    entries = [chain.verify(line) for line in written()]

    assert [entry.event for entry in entries] == EVENTS
    assert [entry.n for entry in entries] == [1, 2, 3]
    assert entries[2].ts == "2025-11-25T10:15:02.000002Z"


def test_a_line_is_an_object_that_other_programs_can_read() -> None:
    fields = msgspec.json.decode(written()[2])

    assert list(fields) == ["n", "ts", "event", "key", "op", "who", "hash"]
    assert fields["event"] == "context_changed"


def test_a_chain_continues_from_its_end() -> None:
    lines = written()
    chain = Chain()
    for line in lines[:2]:
        chain.verify(line)
    more = Chain(chain.length, chain.hash).line(EVENTS[2], 1_764_065_702_000_002)

    assert more == lines[2] + b"\n"


def test_every_changed_bit_of_a_line_is_detected() -> None:
    lines = written()
    for place in range(len(lines[1])):
        for bit in range(8):
            changed = bytearray(lines[1])
            changed[place] ^= 1 << bit
            assert damage([lines[0], bytes(changed), lines[2]]).startswith("line 2: ")


def test_removed_or_moved_lines_are_detected() -> None:
    one, two, three = written()

    assert damage([one, three]) == (
        "line 2: it says that it is line 3: lines before it are gone or were moved"
    )
    assert damage([two]).startswith("line 1: it says that it is line 2")
    assert damage([one, two, two]).startswith("line 3: it says that it is line 2")


def test_a_line_of_another_run_does_not_fit() -> None:
    other = written([RunStarted(schema_version="1.0", run="other"), *EVENTS[1:]])

    assert damage([written()[0], other[1]]) == (
        "line 2: it, or the hash of the line before it, was changed"
    )


@pytest.mark.parametrize("line", [b"", b"{}", b"null", b"\xff" * 99, b"[" * 100_000])
def test_text_that_is_no_journal_line_is_reported(line: bytes) -> None:
    assert damage([line]).startswith("line 1: it ")


def test_an_event_of_a_later_version_is_skipped() -> None:
    class Later(ContextChanged, frozen=True, kw_only=True, tag="later"):
        more: int = 1

    chain = Chain()
    line = chain.line(Later(key="a", op="set", who="b"))

    assert chain.verify(line.removesuffix(b"\n")).event is None
