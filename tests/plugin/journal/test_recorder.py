"""Journal recorder: events in order, masked, with one report of a write error."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from pytest_orchestrator.core.errors import JournalError
from pytest_orchestrator.core.events import (
    AnyEvent,
    ContextChanged,
    ContextReplaced,
    RecipeStarted,
    StepWaits,
)
from pytest_orchestrator.core.secrets import Masker
from pytest_orchestrator.execution.locks.lock_file import Owner
from pytest_orchestrator.execution.locks.locks import LockWait
from pytest_orchestrator.plugin.journal.recorder import JournalRecorder
from pytest_orchestrator.recipe import load


class ListJournal:
    """Journal that stores events in a list, and can be made to fail."""

    def __init__(self) -> None:
        self.events: list[AnyEvent] = []
        self.synced = 0
        self.is_full = False

    def append(self, event: AnyEvent, moment: int | None = None) -> None:
        if self.is_full:
            raise JournalError("the disk is full")
        self.events.append(event)

    def sync(self) -> None:
        self.synced += 1


def recorder() -> JournalRecorder:
    secrets = Masker(())
    secrets.add("s3cret")
    state: Any = SimpleNamespace(secrets=secrets, has_secrets=True, masked=secrets.mask)
    return JournalRecorder(SimpleNamespace(), state)  # type: ignore[arg-type]


def change(new: object, op: Any = "set") -> ContextChanged:
    return ContextChanged(key="a", op=op, who="x", new=new, by="x.yaml::x")


def test_events_before_the_journal_begins_are_buffered() -> None:
    one, journal = recorder(), ListJournal()
    one.changed(change(1), 5)

    one.begin(journal, [change("first")])
    one.changed(change(2), 6)

    assert journal.events == [change("first"), change(1), change(2)]
    assert journal.synced == 1


@pytest.mark.counted
def test_buffered_events_of_a_session_without_a_journal_are_discarded() -> None:
    one, journal = recorder(), ListJournal()
    one.changed(change(1), 5)
    one.discard_buffered()
    one.changed(change(2), 6)

    one.begin(journal, [])

    assert journal.events == []


@pytest.mark.counted
def test_changes_of_one_operation_are_masked_and_recorded_as_one_event() -> None:
    one, journal = recorder(), ListJournal()
    one.begin(journal, [])
    changes = (change({"pin": "my s3cret"}), change(1))

    one.changed(ContextReplaced(changes=changes, moments=(1, 2), history={"k": ({"new": 1},)}), 2)

    masked = msgspec.structs.replace(change({"pin": "my ***"}), masked=True)
    assert journal.events == [ContextReplaced(changes=(masked, change(1)), moments=(1, 2))]


def test_a_change_is_masked_except_the_index_of_a_list_item() -> None:
    one, journal = recorder(), ListJournal()
    one.begin(journal, [])
    one._state.secrets.add(7)  # noqa: SLF001

    one.changed(change({"pin": "my s3cret"}), 1)
    one.changed(change(7, "pop"), 2)

    assert journal.events == [
        msgspec.structs.replace(change({"pin": "my ***"}), masked=True),
        change(7, "pop"),
    ]


@pytest.mark.counted
def test_a_lock_wait_is_recorded_with_its_step_and_printed(tmp_path: Path) -> None:
    path = tmp_path / "recipes/x.yaml"
    path.parent.mkdir()
    path.write_text("steps:\n  - {name: a, type: shell, cmd: 'true', locks: [bench]}\n")
    recipe = load(path, root=tmp_path)
    one, journal = recorder(), ListJournal()
    actual: list[LockWait] = []
    one.begin(journal, [])
    one.append_start(RecipeStarted(recipe=recipe.key, about={}, steps=()))
    owner = Owner.here("20261125T101500Z-7f3a", "recipes/y.yaml::b")
    wait = LockWait(who="recipes/x.yaml::a", lock="bench", owner=owner, seconds=1.0)

    one.waits(recipe, actual.append, wait)

    assert actual == [wait]
    assert journal.events[1:] == [
        StepWaits(recipe=recipe.key, step="a", lock="bench", owner="recipes/y.yaml::b")
    ]


def test_a_write_error_is_reported_once_and_raised_each_time() -> None:
    one, journal = recorder(), ListJournal()
    failures: list[JournalError] = []
    one.begin(journal, [])
    one.failed = failures.append
    journal.is_full = True

    for number in range(3):
        with pytest.raises(JournalError, match="the disk is full"):
            one.changed(change(number), number)
    one.append_if_possible(change(4))  # raises nothing

    assert len(failures) == 1
