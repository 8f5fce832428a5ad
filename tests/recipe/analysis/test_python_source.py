"""Static analysis of scriptlets: the keys that are found, and that no key is guessed."""

import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_orchestrator.recipe.analysis.python_source import Flow, flow_of
from pytest_orchestrator.recipe.analysis.source_files import Sources

See = Callable[..., Flow]


@pytest.fixture
def see(tmp_path: Path) -> See:
    """Return the flow of the function or class `step` of a module."""

    def see(text: str, *fixtures: str) -> Flow:
        (tmp_path / "seen.py").write_text(textwrap.dedent(text))
        module = Sources(tmp_path).module("seen")
        assert module is not None
        return flow_of(module, "step", fixtures)

    return see


def read(flow: Flow) -> list[str]:
    assert not flow.is_open
    return [one.key for one in flow.reads if one.key not in flow.optional]


def test_literal_keys_are_found(see: See) -> None:
    flow = see(
        """
        KEY = "psu.name_v1"

        def step(ctx, params):
            ctx.set("psu.volts_v1", 3, who="me")
            ctx.append(KEY, 1)
            ctx.increment(key="count", by=2)
            volts = ctx.get("psu.amps_v1")
            return {"status": "ok", "x": volts + ctx["dut.id"]}
        """
    )
    assert flow.writes == {
        ("psu.volts_v1", "set"),
        ("psu.name_v1", "append"),
        ("count", "increment"),
    }
    assert flow.reads == (("psu.amps_v1", 8), ("dut.id", 9))
    assert not flow.is_open


def test_the_literal_parts_of_a_computed_key_are_found(see: See) -> None:
    flow = see(
        """
        def step(ctx, params):
            ctx.set(f"psu.{params['n']}.volts", 3)
            ctx.set("dut." + params["name"], 3)
            return ctx[params["key"]]
        """
    )
    assert flow == Flow(writes=frozenset({("psu.*.volts", "set"), ("dut.*", "set")}))


@pytest.mark.parametrize(
    "line",
    [
        "ctx.set(params['key'], 1)",
        "helper(ctx)",
        "self.ctx = ctx",
        "other = ctx",
        "params.run(ctx=ctx)",
        "ctx.restore(params)",
        "[ctx]",
        "ctx.bound('x').set('a', 1)",
    ],
)
def test_a_context_passed_to_unknown_code_makes_the_flow_open(line: str, see: See) -> None:
    assert see(f"def step(ctx, params):\n    {line}\n").is_open


@pytest.mark.parametrize(
    "body",
    [
        "ctx.get('k', None)",
        "ctx.get('k') or 3",
        "if ctx.get('k'): pass",
        "return 1 if ctx.get('k') is None else 2",
        "k = ctx.get('k')\n    if k is None: return 3",
        "assert ctx.get('k')",
        "if 'k' in ctx: return ctx['k']",
        "return not ctx.get('k')",
    ],
)
def test_a_key_whose_existence_is_tested_is_optional(body: str, see: See) -> None:
    assert read(see(f"def step(ctx, params):\n    {body}\n")) == []


def test_functions_of_the_module_that_receive_the_context_are_followed(see: See) -> None:
    flow = see(
        """
        def step(ctx, params):
            one(ctx)
            two(params, into=ctx)

        def one(state):
            state.set("a", 1)
            one(state)

        def two(params, into):
            into.set("b", 1)

        def three(ctx):
            ctx.set("c", 1)
        """
    )
    assert flow == Flow(writes=frozenset({("a", "set"), ("b", "set")}))


def test_methods_are_followed_including_those_of_a_base_class(see: See) -> None:
    flow = see(
        """
        from elsewhere import Far

        class Near(Far):
            def validate(self, ctx, params):
                ctx["a"]

            def _keep(self, where):
                where.set("b", 1)

        class step(Near):
            def run(self, context, params):
                self._keep(context)

            def unused(self, ctx):
                ctx.set("c", 1)
        """
    )
    assert read(flow) == ["a"]
    assert flow.writes == {("b", "set")}


def test_a_class_without_run_in_its_module_has_an_open_flow(see: See) -> None:
    assert see("from far import Far\nclass step(Far):\n    pass\n").is_open


@pytest.mark.parametrize(
    ("parameters", "fixtures", "is_context"),
    [
        ("a, b", (), False),
        ("a", (), False),
        ("params", (), False),
        ("params, ctx", (), True),
        ("a, params", ("a",), False),
        ("bench, ctx, a", ("bench",), True),
        ("*, context", (), True),
    ],
)
def test_the_context_parameter_is_found_by_name_and_position(
    parameters: str, fixtures: tuple[str, ...], is_context: bool, see: See
) -> None:
    name = "ctx" if "ctx" in parameters else "context" if "context" in parameters else "a"
    flow = see(f"def step({parameters}):\n    {name}.set('k', 1)\n", *fixtures)
    assert bool(flow.writes) is is_context


def test_a_name_that_is_no_class_or_function_has_an_unknown_flow(see: See) -> None:
    assert see("step = object()").is_open
    assert see("from far import step").is_open


def test_a_key_in_a_local_variable_is_found(see: See) -> None:
    flow = see(
        """
        KEY = "of.module"
        OTHER = "shadowed"

        def step(ctx, params, given="x"):
            key = "a_v1"
            ctx.set(key, 1)
            ctx.set(KEY, 2)
        """
    )
    assert flow.writes == {("a_v1", "set"), ("of.module", "set")}
    assert not flow.is_open


@pytest.mark.parametrize(
    "lines",
    [
        "key = 'a'\n    key = 'b'",
        "key = params['key']",
        "for key in 'ab': pass",
        "key, more = 'a', 1",
        "key = 'a'\n    key += 'b'",
    ],
)
def test_a_variable_that_may_hold_another_key_opens_the_flow(lines: str, see: See) -> None:
    flow = see(f"key = 'of.module'\ndef step(ctx, params):\n    {lines}\n    ctx.set(key, 1)\n")

    assert flow.writes == frozenset()
    assert flow.is_open
