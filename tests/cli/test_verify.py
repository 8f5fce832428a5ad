"""`pytest-orchestrator verify`."""

import json

from tests.cli.conftest import Project
from tests.runs.built import Runs


def test_a_run_that_nobody_touched(project: Project, runs: Runs) -> None:
    built = runs.new().begin("a").step("a")
    built.write("logs/psu/a.1.stdout", "{}\n")
    folder = built.seal()
    told = project.call("verify", "latest")

    assert (told.code, told.err) == (0, "")
    start = f"{folder.name}: 6 lines and 1 file are as they were, seal "
    assert told.out.startswith(start)
    assert len(told.out) == len(start) + 65


def test_what_was_changed_is_named(project: Project, runs: Runs) -> None:
    built = runs.new().begin("a").step("a")
    log = built.write("logs/psu/a.1.stdout", "{}\n")
    folder = built.seal()
    log.write_text("[]\n")
    told = project.call("verify", folder.name)
    assert told == (1, f"{folder.name}: logs/psu/a.1.stdout: it was changed\n", "")

    path = folder / "journal.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"passed"', b'"failed"', 1))
    told = project.call("verify", str(folder))
    why = "it, or the hash of the line before it, was changed"
    assert told == (1, f"{folder.name}: journal.jsonl:4: {why}\n", "")
    plain = json.loads(project.call("verify", folder.name, "--json").out)
    assert (plain["holds"], plain["state"]) == (False, "damaged")
    assert plain["flaws"] == [{"where": "journal.jsonl:4", "why": why}]


def test_what_has_no_end_is_not_proved(project: Project, runs: Runs) -> None:
    built = runs.new().begin("a")
    going_on = project.call("verify", "latest")
    told = f"{built.folder.name}: it goes on: 2 lines are as they were written"
    assert going_on == (1, f"{told}, and no seal ends them\n", "")
    built.cut()
    assert ": it was interrupted: 2 lines " in project.call("verify", "latest").out
