"""Static check of `params` against the source of a class or function."""

from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_orchestrator.recipe import load
from pytest_orchestrator.recipe.analysis.dataflow import check_existence
from pytest_orchestrator.recipe.analysis.source_files import Sources

Look = Callable[..., list[str]]


@pytest.fixture
def look(tmp_path: Path) -> Look:
    """Return the findings of a recipe whose step calls `step` of a source."""

    def look(source: str, params: str, key: str = "function", more: str = "") -> list[str]:
        (tmp_path / "psu.py").write_text(source)
        step = f"name: a, type: python, module: psu, {key}: step, {more}params: {params}"
        path = tmp_path / "x.yaml"
        path.write_text(f"vars: {{v: 1}}\nsteps:\n  - {{{step}}}\n")
        texts = path.read_text().splitlines()
        return [
            f"{texts[one.problem.place.line - 1][one.problem.place.column - 1 :][:5]} "
            f"{one.severity}: {one.problem.text}"
            for one in check_existence(load(path, root=tmp_path), Sources(tmp_path))
        ]

    return look


FUNCTION = "def step(ctx, volts, load=1): pass\n"
CLASS = """
from pytest_orchestrator import BaseScriptlet, track_resources
class step(BaseScriptlet):
    def validate(self, volts): pass
    @track_resources
    def run(self, ctx, load=1): pass
"""
MAPPING = """
class Base:
    def check(self, given):
        assert isinstance(given, dict)
        assert "polls" in given
class step(Base):
    def validate(self, ctx, params):
        self.check(params)
    def run(self, ctx, params):
        return {"status": "ok", "v": params["volts"], "l": late(params), "g": params.get("gain")}
def late(given):
    return given.pop("late", 1)
"""


@pytest.mark.parametrize(
    ("source", "params", "finding"),
    [
        (
            FUNCTION,
            "{voltz: 1}",
            (
                "voltz error: params has 'voltz', which function 'step' does not take "
                "(did you mean 'volts'?)"
            ),
        ),
        (
            "def step(ctx, volts, **rest): return rest, volts\n",
            "{ctx: 5, volts: 1}",
            (
                "ctx:  error: params has 'ctx', which the plugin itself gives to function 'step' "
                "(choose another key)"
            ),
        ),
        (FUNCTION, "{load: 2}", "{load error: params has no 'volts', which function 'step' needs"),
        (
            FUNCTION,
            "{volts: 2, amps: 1}",
            "amps: error: params has 'amps', which function 'step' does not take",
        ),
        (
            "def step(ctx, p): pass\n",
            "{}",
            "{}} error: params has no 'p', which function 'step' needs",
        ),
        (
            "def step(ctx, *, volts): pass\n",
            "{}",
            "{}} error: params has no 'volts', which function 'step' needs",
        ),
        (
            "def step(ctx): pass\n",
            "{volts: 2}",
            "volts warning: function 'step' does not read 'volts' of params",
        ),
        (
            "def step(ctx, params):\n    return {'v': params['volts']}\n",
            "{volts: 2, voltz: 3}",
            (
                "voltz warning: function 'step' does not read 'voltz' of params "
                "(did you mean 'volts'?)"
            ),
        ),
        (
            "def step(ctx, params):\n    v = float(params['volts']) + 1\n",
            "{}",
            "{}} error: params has no 'volts', which function 'step' reads",
        ),
        (
            "def step(ctx, params):\n    if params['volts'] > 1: pass\n",
            "{}",
            "{}} error: params has no 'volts', which function 'step' reads",
        ),
    ],
)
def test_certain_mismatches_of_a_function_are_reported(
    source: str, params: str, finding: str, look: Look
) -> None:
    assert look(source, params) == [finding]


@pytest.mark.parametrize(
    ("source", "params", "finding"),
    [
        (CLASS, "{load: 2}", "{load error: params has no 'volts', which class 'step' needs"),
        (
            CLASS,
            "{volts: 2, lead: 1}",
            (
                "lead: error: params has 'lead', which class 'step' does not take "
                "(did you mean 'load'?)"
            ),
        ),
        (
            MAPPING,
            "{volts: 2, polls: 1, gain: 3, late: 4, amps: 5}",
            "amps: warning: class 'step' does not read 'amps' of params",
        ),
    ],
)
def test_certain_mismatches_of_a_class_are_reported(
    source: str, params: str, finding: str, look: Look
) -> None:
    assert look(source, params, "class") == [finding]


@pytest.mark.parametrize(
    ("source", "params"),
    [
        (FUNCTION, "{volts: 1}"),
        (FUNCTION, "'${{ vars.v }}'"),
        (FUNCTION, "{volts: '${{ vars.v }}', load: 3}"),
        ("def step(ctx, volts, **rest): pass\n", "{volts: 1, amps: 2}"),
        ("def step(ctx, volts, params): return params\n", "{volts: 1, amps: 2}"),
        ("def step(*args, **kwargs): pass\n", "{volts: 1}"),
        ("def step(ctx, params): return keep(params)\n", "{volts: 1}"),
        ("def step(ctx, params): return dict(params)\n", "{volts: 1}"),
        ("def step(ctx, params): return locals()\n", "{volts: 1}"),
        ("def step(ctx, params): return params == {'volts': 1}\n", "{volts: 1}"),
        ("@far\ndef late(p): pass\ndef step(ctx, params): return late(params)\n", "{volts: 1}"),
        ("KEY = 'volts'\ndef step(ctx, params): return params[KEY]\n", "{volts: 1}"),
        ("def step(ctx, params): return [params[each] for each in 'ab']\n", "{a: 1}"),
        ("def step(ctx, params):\n    ready()\n    params['volts']\n", "{}"),
        ("def step(ctx, params):\n    if ctx: return\n    params['volts']\n", "{}"),
        ("def step(ctx, params): return ctx and params['volts']\n", "{}"),
        ("def step(ctx, params): return lambda: params['volts']\n", "{}"),
        ("def step(ctx, params):\n    params['volts'] = 1\n", "{}"),
        ("def float(x): raise ready\ndef step(params): float(1) + params['a']\n", "{}"),
        ("@wrapped\ndef step(ctx, volts): pass\n", "{amps: 1}"),
        ("if ctx:\n    def step(ctx, volts): pass\n", "{amps: 1}"),
        ("step = wrapped(len)\n", "{amps: 1}"),
        ("from json import dumps as step\n", "{amps: 1}"),
    ],
)
def test_possible_mismatches_of_a_function_are_not_reported(
    source: str, params: str, look: Look
) -> None:
    assert look(source, params) == []


TWO = """
class step:
    def validate(self, volts): pass
    def run(self, params): return params
"""


@pytest.mark.parametrize(
    ("source", "params"),
    [
        (CLASS, "{volts: 1, load: 2}"),
        ("from far import Far\nclass step(Far):\n    def run(self, volts): pass\n", "{amps: 1}"),
        ("class step(metaclass=M):\n    def run(self, volts): pass\n", "{amps: 1}"),
        (TWO, "{volts: 1, amps: 2}"),
        ("class step:\n    @staticmethod\n    def run(volts): pass\n", "{volts: 1}"),
        ("class step:\n    def run(self, params): self.params = params\n", "{volts: 1}"),
        ("class step: pass\n", "{volts: 1}"),
    ],
)
def test_possible_mismatches_of_a_class_are_not_reported(
    source: str, params: str, look: Look
) -> None:
    assert look(source, params, "class") == []


def test_a_parameter_that_receives_a_fixture_needs_no_key(look: Look) -> None:
    source = "def step(ctx, rig, volts): pass\n"

    assert look(source, "{volts: 1}", more="fixtures: [rig], ") == []
    assert look(source, "{volts: 1}") == [
        "{volt error: params has no 'rig', which function 'step' needs"
    ]


@pytest.mark.parametrize(
    "source",
    [
        "def step(ctx, params, instrument): return params\n",
        "def step(*, instrument): pass\n",
        "class step:\n    def run(self, params, instrument): return params\n",
        (
            "class step:\n    def validate(self, instrument): pass\n"
            "    def run(self, params, instrument): return params\n"
        ),
    ],
)
def test_a_parameter_called_instrument_needs_no_key(source: str, look: Look) -> None:
    kind = "class" if source.startswith("class") else "function"

    assert look(source, "{}", kind) == []
    assert look(source, "{}", kind, more="fixtures: [instrument], ") == []


@pytest.mark.parametrize(
    "source",
    [
        "def step(ctx, params, instrument=None): return params\n",
        "def step(*, instrument=None): pass\n",
        "@wrapped\ndef step(instrument): pass\n",
        "def step(ctx, context, params): return params\n",
    ],
)
def test_a_reserved_parameter_that_may_receive_a_value_is_not_reported(
    source: str, look: Look
) -> None:
    assert look(source, "{}") == []


@pytest.mark.parametrize(
    ("method", "finding"),
    [
        ("def run(ctx, params): pass", "'run' of class 'step' has no parameter 'self'"),
        (
            "def validate(params): pass\n    def run(self): pass",
            "'validate' of class 'step' has no",
        ),
        ("def run(self, ctx): pass", ""),
        ("def run(this, ctx): pass", ""),
        ("@staticmethod\n    def run(ctx): pass", ""),
        ("@bound\n    def run(ctx): pass", ""),
    ],
)
def test_a_method_without_self_is_an_error(look: Look, method: str, finding: str) -> None:
    found = look(f"def bound(f): return f\nclass step:\n    {method}\n", "{}", "class")
    assert [one for one in found if "'self'" in one] == [
        one for one in found if finding and finding in one and "(write `def " in one
    ]
    assert bool(found) == bool(finding)
