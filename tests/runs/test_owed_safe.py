"""Safe states that are owed, from the first command until they were reached or dropped."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from pytest_orchestrator.core.events import (
    DebtForgiven,
    InstrumentOpened,
    InstrumentSafe,
    RunFinished,
)
from pytest_orchestrator.recipe.station.reader import load_station
from pytest_orchestrator.runs.folder import instruments_folder
from pytest_orchestrator.runs.history import retention
from pytest_orchestrator.runs.journal.debt_marks import folders_with_debts
from pytest_orchestrator.runs.lookup import prunable
from pytest_orchestrator.runs.owed_safe import Ledger, OwedSafe, payments, use_of
from tests.runs.conftest import RECIPE, WrittenRun

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_orchestrator.recipe.station.model import Station

FIRST, SECOND, THIRD = (f"2026112{day}T101502Z-7f3a" for day in (5, 6, 7))
AT = "TCPIP::192.0.2.7::INSTR"


def use(name: str = "psu", **fields: Any) -> InstrumentOpened:
    known: dict[str, Any] = {"resource": AT, "backend": "@py", "has_safe_state": True}
    known |= {"safe": ("OUTP 0",), **fields}
    return InstrumentOpened(recipe=RECIPE, instrument=name, **known)


def using(base: Path, run: str, *names: str, **fields: Any) -> WrittenRun:
    """Start a run that uses instruments."""
    past = WrittenRun(base, run)
    past.add(*(use(name, **fields) for name in names))
    return past


def safe(past: WrittenRun, name: str = "psu", reason: str = "", run: str = "") -> None:
    past.add(InstrumentSafe(recipe=RECIPE, instrument=name, reason=reason, run=run))


def sealed(past: WrittenRun, debts: int = 0) -> None:
    past.journal.seal(lambda lines: RunFinished(exit_status=0, lines=lines, debts=debts))


def keys(base: Path) -> list[tuple[str, str]]:
    return [one.key for one in Ledger(base).owed]


def test_a_killed_run_is_in_debt_for_each_use_that_no_safe_state_has_ended(tmp_path: Path) -> None:
    past = using(tmp_path, FIRST, "psu", "load", "meter", "again")
    safe(past, "load")
    safe(past, "again")
    past.add(use("again"), use("lamp", has_safe_state=False))
    safe(past, "meter", "meter: no answer")
    past.killed()

    assert keys(tmp_path) == [(FIRST, "psu"), (FIRST, "meter"), (FIRST, "again")]


def test_a_safe_state_that_failed_is_owed_after_an_orderly_end_too(tmp_path: Path) -> None:
    past = using(tmp_path, FIRST, "psu")
    safe(past, reason="psu: no answer")
    sealed(past, debts=1)
    sealed(using(tmp_path, SECOND, "psu"))  # its journal says that it owes nothing

    assert keys(tmp_path) == [(FIRST, "psu")]


def test_a_run_is_in_no_debt_while_it_runs(tmp_path: Path) -> None:
    past = using(tmp_path, FIRST, "psu")
    assert keys(tmp_path) == []
    past.killed()
    assert keys(tmp_path) == [(FIRST, "psu")]


@pytest.mark.parametrize("store", ["runs", "instruments"])
def test_a_debt_ends_with_the_payment_or_the_reason_that_names_it(
    tmp_path: Path, store: str
) -> None:
    base = tmp_path / ".orchestrator" / "runs"
    using(base, FIRST, "psu", "load", "meter").killed()
    failed = WrittenRun(base, SECOND)
    safe(failed, reason="psu: no answer", run=FIRST)
    safe(failed, "load")  # of that run itself
    sealed(failed)
    assert len(keys(base)) == 3

    paid = WrittenRun(base.with_name(store), THIRD)
    safe(paid, run=FIRST)
    paid.add(DebtForgiven(run=FIRST, instrument="load", reason="off", who="ann"))
    sealed(paid, debts=2)
    assert keys(base) == [(FIRST, "meter")]
    assert (FIRST, "") not in Ledger(base).settled

    whole = WrittenRun(instruments_folder(base), SECOND)
    whole.add(DebtForgiven(run=FIRST, reason="scrapped", who="ann"))
    sealed(whole, debts=1)
    assert keys(base) == []
    assert (FIRST, "") in Ledger(base).settled


def test_pruning_keeps_the_journal_of_a_debt_until_it_is_paid(tmp_path: Path) -> None:
    first = using(tmp_path, FIRST, "psu")
    first.folder.joinpath("logs").mkdir()
    first.folder.joinpath("logs", "a.log").write_text("x")
    first.folder.joinpath("context.json").write_text("{}")
    first.killed()
    sealed(WrittenRun(tmp_path, SECOND))
    sealed(WrittenRun(tmp_path, THIRD))

    def pruned() -> list[str]:
        return [path.name for path in retention.delete(prunable(tmp_path, 1))]

    assert pruned() == [SECOND]
    assert sorted(path.name for path in first.folder.iterdir()) == ["journal.jsonl", "journal.lock"]
    assert (pruned(), keys(tmp_path)) == ([], [(FIRST, "psu")])

    paid = WrittenRun(tmp_path, "20261128T101502Z-7f3a")
    safe(paid, run=FIRST)
    sealed(paid, debts=1)
    sealed(WrittenRun(tmp_path, "20261129T101502Z-7f3a"))
    assert pruned() == [THIRD, FIRST], "the payment stays while the debt is there"
    assert pruned() == ["20261128T101502Z-7f3a"]


def test_a_journal_of_a_command_stays_while_its_debt_or_the_run_that_it_names_is_there(
    tmp_path: Path,
) -> None:
    using(tmp_path, FIRST, "psu").killed()
    store = instruments_folder(tmp_path)
    forgiven = WrittenRun(store, SECOND)
    forgiven.add(DebtForgiven(run=FIRST, instrument="psu", reason="off", who="ann"))
    sealed(forgiven, debts=1)
    sealed(using(store, THIRD, "load"), debts=1)
    retention.delete_settled(tmp_path)
    assert sorted(one.name for one in store.glob("*T*")) == [SECOND, THIRD]

    shutil.rmtree(tmp_path / FIRST)
    retention.delete_settled(tmp_path)
    assert sorted(one.name for one in store.glob("*T*")) == [THIRD]


def station(tmp_path: Path, text: str) -> Station:
    path = tmp_path / "station.yaml"
    path.write_text(f"instruments:\n{text}")
    path.with_name("x.yaml").touch()
    return load_station(path, tmp_path)


@pytest.mark.parametrize(
    ("event", "found"),
    [
        (use(), "supply"),
        (use("other"), "supply"),
        (use(backend=""), "supply"),
        (use(resource="B"), None),
        (use(backend="@ivi"), None),
        (use(backend="/x.yaml@sim"), None),
        (use(resource="S", backend=""), None),
        (use(resource="M", safe=()), None),
        (use(resource="M"), "meter"),
    ],
)
def test_an_instrument_is_the_same_by_resource_and_backend_under_any_name(
    tmp_path: Path, event: InstrumentOpened, found: str | None
) -> None:
    text = f"  supply: {{resource: '{AT}', safe: [X]}}\n  meter: {{resource: M}}\n"
    text += "  sim: {resource: S, backend: x.yaml@sim, safe: [X]}\n"
    now = OwedSafe(FIRST, event).found_in(station(tmp_path, text))
    assert (now and now.name) == found


def test_one_of_two_names_of_a_resource_pays_its_own_debt(tmp_path: Path) -> None:
    text = f"  psu: {{resource: '{AT}', safe: [OUTP 0]}}\n  ch2: {{resource: '{AT}', safe: [X]}}\n"
    for name in ("psu", "ch2"):
        now = OwedSafe(FIRST, use(name)).found_in(station(tmp_path, text))
        assert now is not None
        assert now.name == name


def test_pruning_keeps_a_damaged_journal_that_may_hide_a_debt(tmp_path: Path) -> None:
    first = using(tmp_path, FIRST, "psu")
    first.killed()
    journal = first.folder / "journal.jsonl"
    begin, *rest = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(begin + b'{"garbage\n' + b"".join(rest))
    sealed(WrittenRun(tmp_path, SECOND))
    sealed(WrittenRun(tmp_path, THIRD))

    assert [path.name for path in retention.delete(prunable(tmp_path, 1))] == [SECOND]
    assert first.folder.is_dir()
    assert Ledger(tmp_path).damaged == [FIRST]

    forgiven = WrittenRun(instruments_folder(tmp_path), SECOND)
    forgiven.add(DebtForgiven(run=FIRST, reason="off", who="ann"))
    sealed(forgiven, debts=1)
    assert Ledger(tmp_path).damaged == []


def test_a_debt_is_paid_with_the_settings_of_its_time_and_then_with_those_of_today(
    tmp_path: Path,
) -> None:
    text = (
        f"  psu: {{resource: '{AT}', timeout: 9s, read_termination: '%', idn: A, safe: [OUTP 0]}}"
    )
    then = station(tmp_path, text).instruments["psu"]
    event = use_of(then, RECIPE, lambda value: value)
    old, new = OwedSafe(FIRST, event), OwedSafe(SECOND, event)
    assert msgspec.structs.replace(new.settings, at=then.at) == then

    assert [one.safe for one in payments([new], then)] == [("OUTP 0",)]
    now = station(tmp_path, f"  supply: {{resource: '{AT}', safe: [VOLT 0], confirm: none}}")
    first, second = payments([new, old], now.instruments["supply"])
    assert first.safe == second.safe == ("OUTP 0", "VOLT 0")
    assert (first.timeout, second.timeout, first.name, second.name) == (9.0, 2.0, "psu", "psu")
    assert (first.confirm is None, second.confirm is None) == (False, True)


def test_a_secret_is_in_no_debt(tmp_path: Path) -> None:
    text = f"  psu: {{resource: '{AT}', lock: pw, idn: A, safe: [PASS pw]}}"
    event = use_of(
        station(tmp_path, text).instruments["psu"], RECIPE, lambda one: str(one).replace("pw", "*")
    )
    assert (event.safe, event.has_safe_state, "lock" in event.settings) == ((), True, False)


def test_of_a_sealed_journal_only_the_last_line_is_looked_at(tmp_path: Path) -> None:
    past = using(tmp_path, FIRST, "psu")
    safe(past)
    past.add(*(DebtForgiven(run=SECOND, reason=9000 * "x", who="ann") for _ in range(2)))
    sealed(past)
    assert [*folders_with_debts(tmp_path)] == []

    names = {f"logs/{number}.log": (1, "0") for number in range(2000)}
    long = using(tmp_path, SECOND, "psu")
    long.journal.seal(lambda n: RunFinished(exit_status=1, lines=n, files=names, debts=1))
    assert [*folders_with_debts(tmp_path)] == [tmp_path / SECOND]
