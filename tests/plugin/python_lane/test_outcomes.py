"""Outcomes of Python steps by the return value or exception of the step code."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.plugin.conftest import Project

_BODIES = """
import sys

import pytest


def none(ctx, params):
    pass

def a_tuple(ctx, params):
    return ("ok",)

def a_list(ctx, params):
    return ["ok"]

def nan(ctx, params):
    return {"status": "ok", "volts": float("nan")}

def a_set(ctx, params):
    return {"status": "ok", "volts": [{"all": {1, 2}}]}

def empty(ctx, params):
    return {}

def no_status(ctx, params):
    return {"value": 3, "unit": "mV"}

def odd_status(ctx, params):
    return {"status": 3}

def off(ctx, params):
    return {"status": "failed", "reason": "no supply"}

async def waits(ctx, params):
    return {"status": "ok"}

def yields(ctx, params):
    yield {"status": "ok"}

def wants(voltage, current, limit):
    return {"status": "ok"}

def leaves(ctx, params):
    sys.exit(0)

def raises(ctx, params):
    raise ValueError("no such range\\nsee the manual")

def fails(ctx, params):
    pytest.fail("not today")

def expects(ctx, params):
    pytest.xfail("BUG-17")

def skips(ctx, params):
    pytest.skip("no bench")

def pauses(ctx, params):
    return {"status": "skip", "reason": "nothing to do"}

def rests(ctx, params):
    return {"status": "skip"}

def passes(params):
    return {"status": "success"}

def simple():
    return {"status": "ok"}

class Plain:
    def run(self, ctx, params):
        return {"status": "ok"}

class Refuses:
    def validate(self, ctx, params):
        raise ValueError("volts are missing")

    run = Plain.run

class Denies:
    def validate(self, ctx, params):
        return False

    run = Plain.run

class Idle:
    pass

class Made:
    def __init__(self, port):
        pass

    run = Plain.run
"""

_CURE = 'return a mapping with a status, such as {"status": "ok"}'


def _reasons(project: Project, steps: dict[str, str]) -> dict[str, str]:
    """Run independent steps; return the reason of each in the short summary."""
    project.recipe("x", {name: f"needs: [], {keys}" for name, keys in steps.items()})
    return project.reasons()


def _calls(*names: str) -> dict[str, str]:
    key = {True: "class", False: "function"}
    return {
        name: f"type: python, module: bodies, {key[name[0].isupper()]}: {name}" for name in names
    }


@pytest.mark.measured
def test_return_values_of_step_code_are_checked(project: Project) -> None:
    project.write("bodies.py", _BODIES)

    assert _reasons(
        project,
        _calls(
            *("none", "a_tuple", "a_list", "nan", "a_set", "empty", "no_status", "odd_status"),
            *("off", "waits", "yields", "passes", "simple", "Plain"),
        ),
    ) == {
        "none": f"none returned None; {_CURE}",
        "a_tuple": f"a_tuple returned a tuple; {_CURE}",
        "a_list": f"a_list returned a list; {_CURE}",
        "nan": "nan: result['volts'] is nan, which JSON does not have; use None or leave it out",
        "a_set": "a_set: result['volts'][0]['all'] is a set, which JSON does not have; "
        "use a sorted list",
        "empty": "what empty returned has no status (its keys: none); "
        "ok, success or skip is expected",
        "no_status": "what no_status returned has no status (its keys: unit, value); "
        "ok, success or skip is expected",
        "odd_status": "a status that is 3, no reason given",
        "off": "status 'failed': no supply",
        "waits": f"waits is an async function; {_CURE} without await",
        "yields": f"yields is a generator, it yields; {_CURE}",
    }


def test_exceptions_of_step_code_are_reported(project: Project) -> None:
    project.write("bodies.py", _BODIES)

    assert _reasons(project, _calls("leaves", "raises", "fails", "Refuses", "Denies")) == {
        "leaves": "SystemExit: 0",
        "raises": "ValueError: no such range",
        "fails": "Failed: not today",
        "Refuses": "ValueError: volts are missing",
        "Denies": "Denies.validate refused: it returned False",
    }


def test_step_code_can_skip_itself_or_expect_its_failure(project: Project) -> None:
    project.write("bodies.py", _BODIES)

    assert _reasons(project, _calls("skips", "pauses", "rests", "expects")) == {
        "skips": "skipped: no bench",
        "pauses": "skipped: nothing to do",
        "rests": "skipped: the step says skip",
    }
    assert project.run().parseoutcomes() == {"skipped": 3, "xfailed": 1}


def test_step_code_that_cannot_be_called_is_an_error_with_the_reason(project: Project) -> None:
    project.write("bodies.py", _BODIES)

    assert _reasons(project, _calls("wants", "Idle", "Made")) == {
        "wants": "params has no 'voltage', no 'current' and no 'limit', which wants(voltage, "
        "current, limit) needs; a pytest fixture is named in the step's fixtures",
        "Idle": "class Idle does not define run; write run(self, ctx, params)",
        "Made": "class Made is made without arguments, but wants 'port'; "
        "read them from params in run",
    }


def test_missing_modules_and_functions_are_errors_with_a_suggestion(project: Project) -> None:
    project.write("bodies.py", _BODIES)
    project.write("scriptlets/python/steps/sample_step.py", "")
    old = "orchestrator.scriptlets.python.steps.sample_step"

    assert _reasons(
        project,
        {
            "module": "type: python, module: bodeis, function: simple",
            "inner": "type: python, module: bodies.inner, function: simple",
            "strange": "type: python, module: quite.another, function: simple",
            "old": f"type: python, module: {old}, class: SampleStep",
            "function": "type: python, module: bodies, function: simpel",
            "class": "type: python, module: bodies, class: Plan",
        },
    ) == {
        "module": "no module 'bodeis' (did you mean 'bodies'?)",
        "inner": "no module 'bodies.inner' (did you mean 'bodies'?)",
        "strange": "no module 'quite.another'",
        "old": f"no module '{old}' (did you mean 'scriptlets.python.steps.sample_step'?)",
        "function": "module 'bodies' has no function 'simpel' (did you mean 'simple'?)",
        "class": "module 'bodies' has no class 'Plan' (did you mean 'Plain'?)",
    }
    kinds = {name: block["step"]["kind"] for name, block in project.blocks().items()}
    assert kinds == dict.fromkeys(
        ["module", "inner", "strange", "old", "function", "class"], "not_found"
    )


def test_each_failure_has_its_kind(project: Project) -> None:
    project.write("bodies.py", _BODIES)
    calls = _calls("none", "nan", "empty", "off", "leaves", "raises", "fails", "wants", "Refuses")
    project.recipe("x", {name: f"needs: [], {keys}" for name, keys in calls.items()})

    assert {name: block["step"]["kind"] for name, block in project.blocks().items()} == {
        "none": "protocol",
        "nan": "protocol",
        "empty": "status",
        "off": "status",
        "leaves": "exception",
        "raises": "exception",
        "fails": "exception",
        "wants": "validation",
        "Refuses": "validation",
    }


def test_an_exception_at_import_is_shown_with_user_frames_only(project: Project) -> None:
    project.write("inner.py", "voltage = {}['volts']\n")
    project.write("outer.py", "import inner\n")
    project.recipe("x", {"one": "type: python, module: outer, function: simple"})

    result = project.run()

    assert "FAILED recipes/x.yaml::one - KeyError: 'volts'" in result.outlines
    assert project.frames(result, "one") == [
        "recipes/x.yaml:2:",
        "outer.py:1: in <module>",
        "inner.py:1: KeyError",
    ]
    assert project.blocks()["one"]["step"]["kind"] == "not_found"


def test_a_syntax_error_in_a_module_is_reported_at_its_line(project: Project) -> None:
    project.write("broken.py", "def simple(:\n")
    project.recipe("x", {"one": "type: python, module: broken, function: simple"})

    result = project.run()

    assert project.frames(result, "one") == ["recipes/x.yaml:2: SyntaxError"]
    result.stdout.fnmatch_lines(['E     File "*/broken.py", line 1', "E   SyntaxError: *"])


def test_a_base_exception_is_a_failure_like_any_other(project: Project) -> None:
    project.write(
        "bodies.py",
        """
        class Ended(BaseException):
            pass

        def ends(ctx, params):
            raise Ended("too early")
        """,
    )
    project.recipe("x", {"one": "type: python, module: bodies, function: ends"})

    assert project.frames(project.run(), "one") == ["recipes/x.yaml:2:", "bodies.py:5: Ended"]
    block = project.blocks()["one"]
    assert (block["step"]["state"], block["step"]["kind"]) == ("failed", "exception")
