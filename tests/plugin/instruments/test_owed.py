"""Safe states that earlier runs owe: which sessions pay them, and what the others say."""

import socket

import pytest

from pytest_orchestrator.cli.main import main
from tests.plugin.instruments.conftest import HANG, VOLTS, Bench

OPTIONS = pytest.mark.parametrize("options", [(), ("-n2",)], ids=["serial", "xdist"])
PAID = "OUTP OFF"


@pytest.fixture
def killed(bench: Bench) -> Bench:
    """A bench whose power supply a killed session has left on."""
    bench.project.recipe("a", {"hang": HANG})
    bench.project.recipe("b", {"one": "", "two": ""})
    bench.run = bench.kill("recipes/a.yaml")
    return bench


def said(lines: list[str]) -> list[str]:
    return [one.strip() for one in lines if "safe" in one]


def is_owed(bench: Bench) -> bool:
    """Return True if a list of the tests says that the killed run owes the safe state."""
    lines = bench.project.run("--collect-only", "recipes/b.yaml").outlines
    owed = f"    run {bench.run} has not made psu safe: 1 safe state owed"
    return f"{owed}, not sent with --collect-only" in lines


def obstacle(bench: Bench, place: str) -> str:
    """Return the reason why a station without the power supply cannot pay."""
    return (
        f"{place} has no instrument with a safe state at {bench.psu.resource}, so the one that run "
        f"{bench.run} owes cannot be reached; write it into the station file again, or drop the "
        "debt: pytest-orchestrator instruments forgive psu --reason TEXT"
    )


def move(bench: Bench, old: str, new: str) -> None:
    path = bench.project.path / "station.yaml"
    path.write_text(path.read_text().replace(old, new))


@OPTIONS
def test_the_next_session_with_recipes_pays_before_its_first_step(
    killed: Bench, options: tuple[str, ...]
) -> None:
    assert is_owed(killed)
    before = len(killed.psu.texts)

    result = killed.project.run("recipes/b.yaml", "-q", *options)

    result.assert_outcomes(passed=2)
    assert killed.psu.texts[before:].count(PAID) == 1
    assert not killed.psu.is_on
    if not options:
        assert said(result.outlines) == [
            f"orchestrator: run {killed.run} has not made psu safe: 1 safe state owed",
            f"orchestrator: the safe state of psu that run {killed.run} owed was reached",
        ]
    assert not is_owed(killed)


@OPTIONS
def test_a_session_that_cannot_pay_is_red_runs_its_steps_and_the_debt_stays(
    killed: Bench, options: tuple[str, ...]
) -> None:
    killed.psu.freeze()

    result = killed.project.run("recipes/b.yaml", *options)

    result.assert_outcomes(passed=2, errors=1)
    assert result.ret == 1
    if not options:
        why = "no answer to '*IDN?' within 1 s"
        assert result.outlines[-1] == f"orchestrator: psu is not in its safe state: {why}"
    assert is_owed(killed)
    killed.psu.behave()
    assert killed.project.run("recipes/b.yaml").ret == 0
    assert not killed.psu.is_on


def test_a_safe_state_that_failed_at_the_end_of_a_session_is_paid_by_the_next(
    bench: Bench,
) -> None:
    bench.project.recipe("a", {"on": VOLTS.format(5)})
    bench.project.recipe("b", {"one": ""})
    bench.psu.refused.add("OUTP OFF")
    failed = bench.project.run("recipes/a.yaml")
    assert (failed.ret, bench.psu.is_on) == (1, True)
    bench.psu.behave()
    bench.psu.errors.clear()

    bench.project.run("recipes/b.yaml").assert_outcomes(passed=1)

    assert not bench.psu.is_on


def test_pruning_keeps_a_debt_and_this_session_pays_it(killed: Bench) -> None:
    for number in range(3):
        args = ("recipes/b.yaml", "--recipe-station=none", "-o", "recipe_keep_runs=1")
        result = killed.project.run(*args)
        assert result.ret == 0, number
        owed = f"run {killed.run} has not made psu safe: 1 safe state owed"
        assert said(result.outlines) == [f"{owed}, not sent with --recipe-station=none"]
    assert killed.psu.is_on

    killed.project.run("recipes/b.yaml", "-o", "recipe_keep_runs=1").assert_outcomes(passed=2)
    assert not killed.psu.is_on


def test_the_same_instrument_under_another_name_pays(killed: Bench) -> None:
    move(killed, "  psu:", "  supply:")
    move(killed, "safe: [OUTP OFF]", "safe: [VOLT 0]")
    before = len(killed.psu.texts)

    killed.project.run("recipes/b.yaml").assert_outcomes(passed=2)

    sent = [one for one in killed.psu.texts[before:] if "?" not in one]
    assert sent == ["OUTP OFF", "VOLT 0"]
    assert not is_owed(killed)


@pytest.mark.parametrize("station", ["other resource", "simulated", "gone"])
def test_a_debt_of_an_instrument_that_is_not_there_is_an_error_and_stays(
    killed: Bench, station: str
) -> None:
    path = killed.project.path / "station.yaml"
    text = path.read_text()
    if station == "other resource":
        with socket.create_server(("127.0.0.1", 0)) as server:
            move(killed, str(killed.psu.port), str(server.getsockname()[1]))
    elif station == "simulated":
        killed.project.write("sim.yaml", "")
        move(killed, "    idn: PSU-30", "    backend: sim.yaml@sim")
    else:
        path.unlink()

    result = killed.project.run("recipes/b.yaml")

    result.assert_outcomes(passed=2, errors=1)
    why = obstacle(killed, "the project" if station == "gone" else "station.yaml")
    assert result.outlines[-1] == f"orchestrator: psu is not in its safe state: {why}"
    assert [one for one in result.outlines if "owed" in one] == [
        f"    the safe state of psu stays owed: {why}"
    ]
    killed.project.write("test_plain.py", "def test_plain(): pass\n")
    plain = killed.project.run("test_plain.py")
    assert said(plain.outlines) == [f"orchestrator: the safe state of psu stays owed: {why}"]
    path.write_text(text)
    assert is_owed(killed)


@OPTIONS
def test_hand_written_tests_alone_say_what_is_owed_and_pay_before_they_use_an_instrument(
    killed: Bench, options: tuple[str, ...]
) -> None:
    write = killed.project.write
    write("test_plain.py", "def test_plain(): pass\n")
    write("test_used.py", "def test_used(instrument):\n    instrument('load').query('OUTP?')\n")
    owed = f"run {killed.run} has not made psu safe: 1 safe state owed"

    plain = killed.project.run("test_plain.py", *options)

    plain.assert_outcomes(passed=1)
    later = "sent before the first step of a recipe, and before a test uses an instrument"
    assert said(plain.outlines) == [f"orchestrator: {owed}, {later}"]
    assert killed.psu.is_on
    listed = killed.project.run("test_plain.py", "--collect-only").outlines
    assert said(listed) == [f"orchestrator: {owed}, not sent with --collect-only"]

    killed.project.run("test_used.py", *options).assert_outcomes(passed=1)
    assert not killed.psu.is_on


def test_a_debt_of_an_instrument_that_a_living_session_uses_is_not_due(killed: Bench) -> None:
    killed.psu.freeze()
    assert killed.project.run("recipes/b.yaml").ret == 1
    killed.psu.behave()
    path = killed.project.path / "station.yaml"
    text = path.read_text()
    killed.project.write("other/station.yaml", text)
    killed.project.write("other/bench.py", (killed.project.path / "bench.py").read_text())
    killed.project.write("other/pytest.ini", "[pytest]")
    steps = f"steps:\n  - {{name: hang, {HANG}}}\n"
    killed.project.write("other/recipes/a.yaml", steps)
    process = killed.start("--rootdir=other", "-c", "other/pytest.ini", "other/recipes/a.yaml")

    result = killed.project.run("recipes/b.yaml")

    result.assert_outcomes(passed=2)
    line = f"orchestrator: the safe state of psu that run {killed.run} owes is not due, because "
    assert [one for one in result.outlines if one.startswith(line)]
    process.kill()
    process.wait()
    assert is_owed(killed)


def test_a_session_names_a_damaged_journal_that_may_hide_a_debt_until_a_person_drops_it(
    killed: Bench,
) -> None:
    killed.project.write("test_plain.py", "def test_plain(): pass\n")
    journal = killed.project.path / ".orchestrator" / "runs" / killed.run / "journal.jsonl"
    begin, *rest = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(begin + b'{"garbage\n' + b"".join(rest))
    line = (
        f"the journal of run {killed.run} is damaged and may hide a safe state that is owed; look "
        "at its instruments, and then drop its debts: pytest-orchestrator runs forgive "
        f"{killed.run} --reason TEXT"
    )

    for test in ("recipes/b.yaml", "test_plain.py"):
        result = killed.project.run(test)
        assert result.ret == 0
        assert [one.removeprefix("orchestrator:").strip() for one in said(result.outlines)] == [
            line
        ]

    assert main(["runs", "forgive", killed.run, "--reason", "off by hand"]) == 0
    assert said(killed.project.run("recipes/b.yaml").outlines) == []


def test_a_station_file_with_errors_pays_nothing_and_a_session_without_recipes_says_so(
    killed: Bench,
) -> None:
    killed.project.write("test_plain.py", "def test_plain(): pass\n")
    move(killed, "timeout:", "timeoutt:")

    result = killed.project.run("test_plain.py")

    result.assert_outcomes(passed=1)
    owed = f"run {killed.run} has not made psu safe: 1 safe state owed"
    assert said(result.outlines) == [
        f"orchestrator: {owed}, not sent while station.yaml has errors"
    ]


def test_a_payment_that_an_instrument_cannot_confirm_is_said_to_be_sent_not_confirmed(
    killed: Bench,
) -> None:
    killed.psu.held.add("*OPC?")
    move(killed, "    safe:", "    confirm: none\n    safe:")

    result = killed.project.run("recipes/b.yaml")

    result.assert_outcomes(passed=2)
    assert said(result.outlines) == [
        f"run {killed.run} has not made psu safe: 1 safe state owed",
        f"orchestrator: the safe state of psu that run {killed.run} owed: sent, not confirmed",
        "orchestrator: the safe state of psu: sent, not confirmed",
    ]
    assert not is_owed(killed)
