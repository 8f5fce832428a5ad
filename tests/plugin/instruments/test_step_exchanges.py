"""Exchanges of step types that hold a connection of their own, in the journal of a run."""

import json
from typing import Any

import pytest

from tests.plugin.conftest import Project

TYPES = '''
from typing import Annotated

from msgspec import Meta, Struct

from pytest_orchestrator.extending import StepType


class Lamp(StepType):
    """Talk to a lamp."""

    name = "lamp"

    class Keys(Struct):
        do: Annotated[str, Meta(description="The exchange.", examples=["read"])] = "query"

    def run(self, keys, ctx, env):
        env.mask("learnt-4711")
        env.record_exchange("lamp", keys.do, "PIN learnt-4711?", answer="on")
        return {"status": "ok"}
'''
CONSOLE = "type: serial, port: 'loop://'"


@pytest.fixture
def lab(project: Project) -> Project:
    """A project without a station file, with a plugin's step type."""
    project.write("lamps.py", TYPES)
    project.write(
        "conftest.py",
        "from lamps import Lamp\n\n\ndef pytest_recipe_step_types():\n    return [Lamp]\n",
    )
    return project


def exchanges(project: Project) -> list[dict[str, Any]]:
    """Return the exchanges in the journal of the newest run."""
    runs = sorted((project.path / ".orchestrator/runs").glob("*/journal.jsonl"))
    lines = [json.loads(line) for line in runs[-1].read_text().splitlines()]
    return [one for one in lines if one["event"] == "instrument_exchange"]


def shown(found: list[dict[str, Any]], step: str, *more: str) -> list[tuple[Any, ...]]:
    names = "do", "command", "answer", *more
    return [tuple(one.get(name) for name in names) for one in found if one["step"] == step]


@pytest.mark.counted
@pytest.mark.parametrize("options", [(), ("-n1",), ("--recipe-jobs=2",)], ids=str)
@pytest.mark.parametrize("place", ["process", "inline"])
def test_the_journal_has_the_dialogs_of_serial_steps(
    lab: Project, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], place: str
) -> None:
    monkeypatch.setenv("PIN", "leak-0815")
    console = f"{CONSOLE}, needs: []{', isolation: inline' if place == 'inline' else ''}"
    path = lab.recipe(
        "x",
        {
            "login": f'{console}, dialog: [{{send: "v1 \\u00b0C\\n"}}, {{wait: 1ms}}, '
            "{expect: 'v(\\d)'}, {expect: C}]",
            "pin": f"{console}, dialog: [{{send: 'is ${{{{ env.PIN }}}}!'}}, {{expect: '!'}}]",
            "late": f"{console}, dialog: [{{send: x}}, {{expect: '# ', within: 1ms}}], "
            "retry: {attempts: 2, delay: 0s}",
            "each": f"{console}, foreach: [a, b], dialog: [{{send: '${{{{ item }}}}'}}]",
        },
        head="secrets: [env.PIN]",
    )

    result = lab.run(*options)

    result.assert_outcomes(passed=3, failed=1)
    found = exchanges(lab)
    assert shown(found, "login") == [
        ("write", "v1 °C\n", None),
        ("read", r"v(\d)", "v1"),
        ("read", "C", " °C"),
    ]
    assert shown(found, "pin", "gap") == [
        ("write", "is ***!", None, "masked"),
        ("read", "!", "is ***!", "masked"),
    ]
    error = "loop://: no match for '# ' within 0.001 s"
    assert shown(found, "late", "kind", "error") == 2 * [
        ("write", "x", None, None, None),
        ("read", "# ", "x", "timeout", error),
    ]
    attempts = [one.get("attempt", 1) for one in found if one["step"] == "late"]
    assert attempts == [1, 1, 2, 2]
    elements = [(one["do"], one["element"]) for one in found if one["step"] == "each"]
    assert elements == [("write", 0), ("write", 1)]
    assert {(one["recipe"], one["instrument"]) for one in found} == {(path, "loop://")}
    assert {one.get("worker", "main") for one in found} == {"gw0" if "-n1" in options else "main"}
    orders = [one["order"] for one in found]
    assert len({*orders}) == len(orders)
    assert all(
        by == sorted(by)
        for step in ("login", "pin", "late", "each")
        if (by := [one["order"] for one in found if one["step"] == step])
    )


@pytest.mark.parametrize("place", ["process", "inline"])
def test_a_secret_that_a_step_has_just_learnt_is_masked_in_its_exchanges(
    lab: Project, place: str
) -> None:
    lab.recipe("x", {"on": f"type: lamp{', isolation: inline' if place == 'inline' else ''}"})

    lab.run().assert_outcomes(passed=1)

    assert shown(exchanges(lab), "on", "gap") == [("query", "PIN ***?", "on", "masked")]


@pytest.mark.parametrize("place", ["process", "inline"])
def test_an_exchange_of_an_unknown_kind_fails_the_step(lab: Project, place: str) -> None:
    more = ", isolation: inline" if place == "inline" else ""
    lab.recipe("x", {"on": f"type: lamp, do: shine{more}"})

    result = lab.run()

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*ValidationError: Invalid enum value 'shine' - at `$.do`*"])
    assert exchanges(lab) == []
