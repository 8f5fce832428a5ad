"""Scriptlets of a Python file: names, parameters, documentation."""

from pathlib import Path
from textwrap import dedent

from pytest_orchestrator.recipe.analysis.source_files import Module
from pytest_orchestrator.scriptlets.discovery import scriptlets_of
from pytest_orchestrator.scriptlets.model import Param, Scriptlet


def listed(folder: Path, text: str, *named: str, every: bool = True) -> dict[str, Scriptlet]:
    path = folder / "bench.py"
    path.write_text(dedent(text))
    scriptlets = scriptlets_of(Module(path), "steps/bench.py", named=named, every=every)
    return {one.name: one for one in scriptlets}


def params(folder: Path, body: str, hint: str = "dict") -> list[Param]:
    text = f"def step(ctx, params: {hint}):\n" + "".join(f"    {one}\n" for one in body.split("\n"))
    return list(listed(folder, text)["step"].params)


def test_only_functions_that_a_step_can_call_are_listed(tmp_path: Path) -> None:
    text = """
    def both(ctx, params): pass
    def params_alone(params, polls=3): pass
    async def later(context): pass
    def whole(number): pass
    def mixed(ctx, number): pass
    def _hidden(ctx, params): pass
    def nothing(): pass
    """
    assert list(listed(tmp_path, text)) == ["both", "params_alone", "later", "mixed"]


def test_names_in_recipes_are_always_listed(tmp_path: Path) -> None:
    text = "def nothing(): pass\ndef _hidden(ctx, bench): pass\nimport os\n"
    assert list(listed(tmp_path, text, "nothing", "_hidden", "os", every=False)) == [
        "nothing",
        "_hidden",
    ]


def test_outside_scriptlet_folders_only_subclasses_are_listed(tmp_path: Path) -> None:
    text = """
    from pytest_orchestrator import BaseScriptlet
    class Root(BaseScriptlet):
        def validate(self, ctx, params): params["a"]
    class Leaf(Root):
        def run(self, ctx, params): params["b"]
    class Plain:
        def run(self, ctx, params): pass
    class Value: pass
    """
    assert list(listed(tmp_path, text)) == ["Leaf", "Plain"]
    elsewhere = listed(tmp_path, text, every=False)
    assert list(elsewhere) == ["Leaf"]
    assert [one.name for one in elsewhere["Leaf"].params] == ["b", "a"]


def test_a_scriptlet_has_its_position_and_docstring(tmp_path: Path) -> None:
    text = '''
    """NAME
        bench - measure a bench

    RETURNS
        {"status": "ok"}; the Context
        then has bench.volts_v1.
    """
    KEY = "bench.volts_v1"
    def measure(ctx, params):
        """Measure it.

        Slowly.
        """
        ctx.set(KEY, 1, who="measure")
        ctx.append(f"bench.{params['x']}", 1)
    def other(ctx): pass
    '''
    scriptlets = listed(tmp_path, text)
    assert scriptlets["measure"]._replace(params=()) == Scriptlet(
        name="measure",
        kind="function",
        path="steps/bench.py",
        line=10,
        module="steps.bench",
        summary="Measure it.",
        returns='{"status": "ok"}; the Context\nthen has bench.volts_v1.',
        writes=("bench.volts_v1",),
    )
    assert scriptlets["other"].summary == "measure a bench"


def test_params_are_the_keys_that_the_source_reads(tmp_path: Path) -> None:
    body = (
        'params["a"]\nparams.get("b", 3)\nparams.get("c", len([]))\nparams.get("d")\n"e" in params'
    )
    assert params(tmp_path, body) == [
        Param("a", True, None, None, False, ""),
        Param("b", False, "int", 3, True, ""),
        Param("c", False, None, None, False, ""),
        Param("d", False, None, None, False, ""),
        Param("e", False, None, None, False, ""),
    ]


def test_params_are_described_by_the_docstring(tmp_path: Path) -> None:
    body = '"""Do.\n\n    Args:\n        ctx: The `x`.\n        params: `a`: volts, as `12`;\n'
    body += '            `b`: polls (default 3).\n    """'
    assert params(tmp_path, body) == [
        Param("a", True, None, None, False, "volts, as `12`"),
        Param("b", False, None, None, False, "polls (default 3)"),
    ]


def test_params_have_the_types_of_a_class_that_annotates_them(tmp_path: Path) -> None:
    text = """
    class Asked(TypedDict):
        volts: float
        names: list[str]
    def step(ctx, params: Asked): params["volts"]
    """
    assert [(one.name, one.type) for one in listed(tmp_path, text)["step"].params] == [
        ("volts", "float"),
        ("names", "list[str]"),
    ]


def test_the_signature_gives_the_parameters_that_receive_a_key_by_name(tmp_path: Path) -> None:
    text = '''
    def measure(ctx, volts: float, rig, load=1, *, mode="fast", skew=-1.5, far=[x]):
        """Measure.

        Args:
            ctx: The Context.
            volts: What the supply
                is set to.
            load (int): Its load.
        """
        helper(params["x"])
    class Meter:
        def validate(self, volts): pass
        def run(self, ctx, params, mode=None): params["gain"]
        def helper(self, other): pass
    '''
    path = tmp_path / "bench.py"
    path.write_text(dedent(text))
    scriptlets = scriptlets_of(Module(path), "steps/bench.py", every=True, fixtures=["rig"])
    by_name = {one.name: list(one.params) for one in scriptlets}

    assert by_name == {
        "measure": [
            Param("volts", True, "float", None, False, "What the supply is set to"),
            Param("load", False, "int", 1, True, "Its load"),
            Param("mode", False, "str", "fast", True, ""),
            Param("skew", False, "float", -1.5, True, ""),
            Param("far", False, None, None, False, ""),
        ],
        "Meter": [
            Param("volts", True, None, None, False, ""),
            Param("gain", True, None, None, False, ""),
            Param("mode", False, None, None, True, ""),
        ],
    }
