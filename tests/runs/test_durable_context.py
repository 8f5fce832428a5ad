"""Durable Context: confirmed changes survive, and damage is an error."""

import os
import stat
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_orchestrator.context.context import Context
from pytest_orchestrator.core.events import RunStarted
from pytest_orchestrator.runs import durable_context
from pytest_orchestrator.runs.durable_context import NotKept, open_durable_context
from pytest_orchestrator.runs.journal.writer import Journal


def written(path: Path) -> None:
    kept = open_durable_context(path)
    kept.context.set("a", 1)
    kept.context.append("l", "x")
    kept.context.append("l", "y")
    kept.context.set("b", None)
    kept.context.pop("l", 0)
    kept.journal.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.jsonl"


def test_a_file_that_was_cut_anywhere_keeps_all_complete_changes(path: Path) -> None:
    written(path)
    whole = path.read_bytes()
    for cut in (0, 1, 6, 7, *range(90, len(whole), 7)):
        path.write_bytes(whole[:cut])
        kept = open_durable_context(path)
        made = sum(len(kept.context.get_history(key)) for key in ("a", "l", "b"))
        kept.context.set("a", 2)
        kept.journal.close()
        assert made == max(whole[:cut].count(b"\n") - 1, 0), cut
        again = open_durable_context(path)
        assert (again.context.get("a"), again.torn) == (2, 0)
        again.journal.close()


def test_a_changed_line_is_an_error_and_the_file_is_left_unchanged(path: Path) -> None:
    written(path)
    lines = path.read_text().splitlines(keepends=True)
    lines[2] = lines[2].replace('"x"', '"z"')
    path.write_text(damaged := "".join(lines))

    with pytest.raises(NotKept) as caught:
        open_durable_context(path)

    assert str(caught.value) == (
        f"{path} is damaged: line 3: it, or the hash of the line before it, was changed; "
        "nothing was changed"
    )
    assert path.read_text() == damaged


def test_the_journal_of_a_run_is_refused(path: Path) -> None:
    journal = Journal(path)
    journal.append(RunStarted(schema_version="1.0", run="20261125-1"))
    journal.close()

    with pytest.raises(NotKept) as caught:
        open_durable_context(path)

    assert str(caught.value) == f"{path} is the journal of a run; take a file of its own"


def state(context: Context) -> tuple[Any, Any]:
    """Return all values, in the order of their keys, and all histories."""
    keys = sorted(context.snapshot()["history"])
    return list(context.to_dict().items()), [(key, context.get_history(key)) for key in keys]


def kept_in(path: Path) -> tuple[Any, Any]:
    """Return the state of a file after a start; the process ends without `close`."""
    kept = open_durable_context(path)
    kept.journal.close()
    return state(kept.context)


def test_a_restore_that_was_cut_anywhere_changes_nothing(path: Path) -> None:
    written(path)
    before, size = kept_in(path), path.stat().st_size
    other = Context("other")
    for key in ("a", "l", "new"):
        other.append(key, "x")
        other.append(key, "y")
    kept = open_durable_context(path)
    kept.context.restore(other.snapshot())
    after = state(kept.context)
    kept.journal.close()
    whole = path.read_bytes()

    assert whole[size:].count(b"\n") == 1
    assert kept_in(path) == after != before
    assert [change["op"] for change in dict(after[1])["new"]] == ["append", "append"]
    for cut in range(size, len(whole)):
        path.write_bytes(whole[:cut])
        assert kept_in(path) == before, cut


@pytest.fixture
def early_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    """Write a cache after a few lines."""
    monkeypatch.setattr(durable_context, "MIN_LINES", 3)


class LineCounter:
    """Counter of the lines that starts read."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.lines = 0
        apply = durable_context._apply  # noqa: SLF001

        def counted(*args: Any) -> None:
            self.lines += 1
            apply(*args)

        monkeypatch.setattr(durable_context, "_apply", counted)


@pytest.fixture
def counter(monkeypatch: pytest.MonkeyPatch) -> LineCounter:
    return LineCounter(monkeypatch)


def cache_of(path: Path) -> Path:
    return path.with_name("state.jsonl.cache")


def test_a_start_reads_only_the_lines_after_the_cache(
    path: Path, counter: LineCounter, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(path)
    monkeypatch.setattr(durable_context, "MIN_LINES", 3)
    first = kept_in(path)
    read_all, counter.lines = counter.lines, 0
    second, between = kept_in(path), counter.lines
    kept = open_durable_context(path)
    kept.context.set("a", 9)
    third = state(kept.context)
    kept.journal.close()

    assert first == second
    assert (read_all, between) == (6, 0)
    assert kept_in(path) == third
    assert counter.lines == 1


@pytest.mark.usefixtures("early_cache")
def test_the_file_keeps_every_change_beside_a_cache(path: Path) -> None:
    written(path)
    before = path.read_bytes()
    kept = open_durable_context(path)
    for number in range(20):
        kept.context.set("a", number)
    kept.close()

    assert path.read_bytes().startswith(before)
    assert path.read_bytes().count(b"\n") == 26
    assert len(dict(kept_in(path)[1])["a"]) == 21


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o644])
def test_the_cache_has_the_mode_of_its_file(
    path: Path, mode: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(path)
    path.chmod(mode)
    monkeypatch.setattr(durable_context, "MIN_LINES", 3)
    path.with_name(f".state.jsonl.cache.{os.getpid()}").write_text(
        "left by a start that was killed"
    )
    open_durable_context(path).close()

    assert stat.S_IMODE(cache_of(path).stat().st_mode) == mode


def test_an_empty_file_keeps_its_mode(path: Path) -> None:
    path.touch()
    path.chmod(0o600)
    open_durable_context(path).close()

    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_start_replaces_a_cache_with_a_wider_mode_than_its_file(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(durable_context, "MIN_LINES", 3)
    written(path)
    path.chmod(0o600)
    cache_of(path).chmod(0o644)
    values = kept_in(path)

    assert stat.S_IMODE(cache_of(path).stat().st_mode) == 0o600
    assert kept_in(path) == values


def test_a_cache_of_another_group_has_only_the_permissions_of_the_owner(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(path)
    path.chmod(0o644)
    monkeypatch.setattr(durable_context, "MIN_LINES", 3)
    status = path.stat()
    other = (*status[:5], status.st_gid + 1, *status[6:])
    monkeypatch.setattr(os, "fstat", lambda _: os.stat_result(other))
    open_durable_context(path).close()

    assert stat.S_IMODE(cache_of(path).stat().st_mode) == 0o600


def test_the_cache_is_replaced_as_the_file_grows(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(durable_context, "MIN_LINES", 10)
    kept = open_durable_context(path)
    sizes = []
    for number in range(60):
        kept.context.set("a", number)
        exists = cache_of(path).exists()
        sizes.append(int(cache_of(path).read_text().partition('"lines":')[2].partition(",")[0])
                     if exists else 0)  # fmt: skip
    kept.journal.close()

    assert sorted(set(sizes)) == [0, 11, 22, 34, 52]
    assert dict(kept_in(path)[0]) == {"a": 59}


@pytest.mark.unmeasured
@pytest.mark.usefixtures("early_cache")
def test_a_cache_that_was_cut_or_changed_anywhere_is_ignored(path: Path) -> None:
    written(path)
    wanted = kept_in(path)
    cache = cache_of(path)
    whole = cache.read_bytes()
    for at in range(0, len(whole), 3):
        for broken in (whole[:at], whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]):
            cache.write_bytes(broken)
            assert kept_in(path) == wanted, (at, broken)
            cache.with_name(f".state.jsonl.cache.{os.getpid()}").write_bytes(broken)
            assert kept_in(path) == wanted, (at, broken)


@pytest.mark.usefixtures("early_cache")
def test_a_changed_line_that_the_cache_covers_is_an_error(path: Path) -> None:
    written(path)
    kept_in(path)
    assert cache_of(path).exists()
    lines = path.read_text().splitlines(keepends=True)
    lines[2] = lines[2].replace('"x"', '"z"')
    path.write_text("".join(lines))

    with pytest.raises(NotKept, match="is damaged: line 3: it, or the hash of the line before"):
        open_durable_context(path)


@pytest.mark.usefixtures("early_cache")
def test_a_cache_of_another_file_is_ignored(path: Path) -> None:
    written(path)
    kept_in(path)
    path.unlink()
    kept = open_durable_context(path)
    kept.context.set("other", 1)
    kept.journal.close()

    assert kept_in(path)[0] == [("other", 1)]


@pytest.mark.usefixtures("early_cache")
def test_a_cache_that_cannot_be_written_is_left_out(path: Path) -> None:
    path.with_name(f".state.jsonl.cache.{os.getpid()}").mkdir()
    written(path)
    wanted = kept_in(path)

    assert not cache_of(path).exists()
    assert kept_in(path) == wanted


KEYS = st.sampled_from(["a", "b.c", "b.d_v1", "\u00fc"])
VALUES = st.one_of(st.none(), st.integers(-9, 9), st.floats(0, 1), st.text(max_size=3))
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("set"), KEYS, VALUES),
        st.tuples(st.just("append"), KEYS, VALUES),
        st.tuples(st.just("pop"), KEYS, st.integers(-2, 1)),
        st.tuples(st.just("increment"), KEYS, st.integers(0, 3)),
        st.tuples(st.just("delete"), KEYS),
        st.tuples(st.just("restore"), st.integers(0, 5)),
        st.tuples(st.just("kill")),
        st.tuples(st.just("close")),
    ),
    max_size=30,
)


@settings(
    deadline=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(STEPS)
def test_a_start_finds_the_state_before_it_after_any_operations(
    early_cache: None, tmp_path: Path, steps: list[tuple[Any, ...]]
) -> None:
    path = tmp_path / "state.jsonl"
    for one in tmp_path.iterdir():
        one.unlink()
    kept, snapshots = open_durable_context(path), [Context().snapshot()]
    for name, *args in steps:
        if name in ("kill", "close"):
            before = state(kept.context)
            (kept.close if name == "close" else kept.journal.close)()
            kept = open_durable_context(path)
            assert state(kept.context) == before
        elif name == "restore":
            kept.context.restore(snapshots[args[0] % len(snapshots)])
        else:
            try:
                getattr(kept.context, name)(*args)
            except (KeyError, TypeError):
                continue
            snapshots.append(kept.context.snapshot())
    before = state(kept.context)
    kept.journal.close()
    assert kept_in(path) == before
