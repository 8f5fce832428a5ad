"""Extensions of plugins: step types, criteria and step hooks."""

import os

import pytest

from tests.plugin.conftest import Project

PLUGIN = '''
"""A plugin of a user, as its author would write it."""

import os
from typing import Annotated

import msgspec
from msgspec import Meta

from pytest_orchestrator.extending import Criterion, StepType


class Measure(StepType):
    """Measures a channel."""

    name = "measure"

    class Keys(msgspec.Struct):
        channel: Annotated[int, Meta(description="The channel.", examples=[1], ge=1)]
        text: Annotated[str, Meta(description="What to say.", examples=["hi"])] = "hi"
        how: Annotated[str, Meta(description="How to end.", examples=["ok"])] = "ok"

        def __post_init__(self):
            if self.how == "never":
                raise ValueError("how is never, which nothing can be")

    def run(self, keys, ctx, env):
        print(f"says {keys.text}")
        ctx.set("measured.channel", keys.channel)
        ctx.set("measured.by", os.getpid())
        if keys.how == "hang":
            import time
            time.sleep(100)
        assert keys.how != "assert", "as asked"
        if keys.how == "none":
            return None
        if keys.how == "second" and env.attempt == 1:
            return {"status": "off"}
        return {
            "status": "skip" if keys.how == "skip" else "ok",
            "channel": keys.channel,
            "root": str(env.root),
            "logs": env.logs is not None and env.logs.is_dir(),
            "timeout": env.timeout,
            "step": env.step,
            "recipe": env.recipe,
            "fixtures": sorted(env.fixtures),
        }


def _channels(wanted, evidence):
    found = evidence.result["channel"]
    if wanted == [0]:
        raise OSError("no bench")
    if wanted == [9]:
        return True
    return None if found in wanted else f"channel {found}, expected one of {wanted}"


def pytest_recipe_step_types():
    return [Measure]


def pytest_recipe_criteria(config):
    return [
        Criterion(
            name="channels",
            type=list[int],
            description="The channels that are good.",
            example=[1, 2],
            check=_channels,
        )
    ]
'''


@pytest.fixture
def bench(project: Project) -> Project:
    """A project whose conftest adds a step type and a criterion."""
    project.write("conftest.py", PLUGIN)
    return project


def steps(**keys: str) -> dict[str, str]:
    return {name: f"type: measure, needs: [], {text}" for name, text in keys.items()}


def test_a_step_of_a_plugins_type_runs_in_a_process_of_its_own(bench: Project) -> None:
    bench.recipe("x", steps(one="channel: 3, timeout: 20s"))

    block = bench.blocks()["one"]

    assert block["step"]["type"] == "measure"
    assert block["step"]["state"] == "passed"
    assert block["logs"]["stdout"]["bytes"] == len("says hi\n")
    assert block["resources"]["max_rss"] > 0
    writes = {one["key"]: (one["who"], one["new"]) for one in block["context"]["writes"]}
    assert writes["measured.channel"] == ("one", 3)
    assert writes["measured.by"][1] != os.getpid()


def test_a_step_of_a_plugin_receives_its_environment(bench: Project) -> None:
    bench.write("conftest.py", PLUGIN + "import pytest\n@pytest.fixture\ndef rig(): return 1\n")
    bench.recipe(
        "x",
        steps(
            one="channel: 3, timeout: 20s, outputs: {told: '${{ result }}'}",
            two="channel: 3, fixtures: [rig], outputs: {inline: '${{ result }}'}",
        ),
    )

    blocks = bench.blocks()

    actual = {
        write["key"]: write["new"] for one in blocks.values() for write in one["context"]["writes"]
    }
    recipe = str(bench.path / "recipes" / "x.yaml")
    root = str(bench.path)
    common = {"status": "ok", "channel": 3, "root": root, "logs": True, "recipe": recipe}
    assert actual["told"] == common | {"timeout": 20.0, "step": "one", "fixtures": []}
    assert actual["inline"] == common | {"timeout": 3600.0, "step": "two", "fixtures": ["rig"]}


def test_general_step_keys_work_for_steps_of_plugins(bench: Project) -> None:
    bench.recipe(
        "x",
        steps(
            good="channel: '${{ vars.n }}', text: 'n ${{ vars.n }}', success: "
            "{stdout_contains: says n 4, channels: ['${{ vars.n }}', 7], ctx_has_keys: "
            "[measured.channel], leftover_processes: 0}",
            late="channel: 1, how: hang, timeout: 500ms",
            raises="channel: 1, how: assert",
            nothing="channel: 1, how: none",
            pauses="channel: 1, how: skip",
            again="channel: 1, how: second, retry: {attempts: 2}",
            inline="channel: 1, isolation: inline",
            refused="channel: 1, how: '${{ vars.how }}'",
            small="channel: '${{ vars.n - 4 }}'",
        ),
        head="vars: {n: 4, how: never}",
    )

    blocks = bench.blocks("--recipe-timeout-factor=1")

    assert {name: one["step"]["state"] for name, one in blocks.items()} == {
        "good": "passed",
        "late": "failed",
        "raises": "failed",
        "nothing": "failed",
        "pauses": "skipped",
        "again": "passed",
        "inline": "passed",
        "refused": "failed",
        "small": "failed",
    }
    assert {name: one["step"]["kind"] for name, one in blocks.items() if "kind" in one["step"]} == {
        "late": "timeout",
        "raises": "exception",
        "nothing": "protocol",
        "refused": "validation",
        "small": "validation",
    }
    assert [one["name"] for one in blocks["good"]["criteria"] if one["held"]] == [
        "stdout_contains",
        "channels",
        "ctx_has_keys",
        "leftover_processes",
    ]
    reasons = {name: one["step"].get("reason", "") for name, one in blocks.items()}
    assert reasons["nothing"].startswith("Measure.run returned None; return a mapping")
    assert reasons["refused"] == "measure step 'refused': how is never, which nothing can be"
    assert reasons["small"] == "'channel' is 0, should be a whole number >= 1"
    assert blocks["again"]["step"]["attempt"] == 2
    assert "max_rss" not in blocks["inline"]["resources"]


def test_a_traceback_begins_in_the_class_of_the_plugin(bench: Project) -> None:
    bench.recipe("x", steps(raises="channel: 1, how: assert"))

    result = bench.run()

    assert bench.frames(result, "raises") == [
        "recipes/x.yaml:2:",
        "conftest.py:33: AssertionError",
    ]


def test_a_service_may_be_of_a_plugins_type(bench: Project) -> None:
    bench.recipe(
        "x",
        steps(up="channel: 1, how: hang, background: true, ready: {stdout_matches: ^says}")
        | {"use": "type: measure, channel: 2"},
    )

    assert bench.outcomes() == {
        "recipes/x.yaml::up": "passed",
        "recipes/x.yaml::use": "passed",
    }


def test_steps_of_plugins_run_in_parallel(bench: Project) -> None:
    bench.recipe("x", steps(one="channel: 1", two="channel: 2"))

    result = bench.run("--recipe-jobs=2")

    result.assert_outcomes(passed=2)
    result.stdout.no_fnmatch_line("*one step at a time*")


def test_failed_criteria_of_plugins_are_reported_with_their_lines(bench: Project) -> None:
    bench.recipe(
        "x",
        steps(
            unmet="channel: 1, success: {channels: [2, 3]}",
            broken="channel: 1, success: {channels: [0]}",
            strange="channel: 1, success: {channels: [9]}",
        ),
    )

    blocks = bench.blocks()

    criteria = {name: one["criteria"][0] for name, one in blocks.items()}
    assert criteria["unmet"] == {
        "name": "channels",
        "line": 2,
        "held": False,
        "wanted": [2, 3],
        "reason": "channel 1, expected one of [2, 3]",
    }
    assert criteria["broken"]["reason"] == "cannot be checked: OSError: no bench"
    assert criteria["strange"]["reason"] == (
        "cannot be checked: TypeError: its check returned a boolean, not None or one line"
    )


def test_a_criterion_of_a_plugin_works_for_every_step_type(bench: Project) -> None:
    bench.write(
        "body.py", "def run(ctx, params):\n    return {'status': 'ok', 'channel': params['n']}\n"
    )
    body = "type: python, module: body, function: run, params: {n: 2}, needs: []"
    shell = """type: shell, cmd: "echo '{\\"status\\": \\"ok\\", \\"channel\\": 2}'", needs: []"""
    bench.recipe(
        "x",
        {
            "python": f"{body}, success: {{channels: [2]}}",
            "inline": f"{body}, success: {{channels: [2]}}, isolation: inline",
            "shell": f"{shell}, success: {{channels: [2]}}",
            "wrong": f"{shell}, success: {{channels: [3]}}",
        },
    )

    found = {node.partition("::")[2]: word for node, word in bench.outcomes().items()}

    good = dict.fromkeys(("python", "inline", "shell"), "passed")
    assert found == {**good, "wrong": "failed"}


def test_a_used_file_may_have_steps_of_a_plugins_type(bench: Project) -> None:
    bench.write(
        "recipes/_part.yaml",
        "vars: {n: 1}\nsteps:\n  - {name: in, type: measure, channel: '${{ vars.n }}'}\n",
    )
    bench.write(
        "recipes/x.yaml",
        "steps:\n  - {name: whole, use: recipes/_part.yaml, with: {n: 7}}\n",
    )

    assert bench.outcomes() == {"recipes/x.yaml::whole.in": "passed"}


def test_an_error_in_a_plugins_step_is_shown_with_a_caret(bench: Project) -> None:
    bench.recipe("x", {"one": "type: measure, chanel: 1"})

    result = bench.run()

    assert bench.shown(result, "ERROR collecting recipes/x.yaml") == (
        "recipes/x.yaml:2:32: unknown key 'chanel' in measure step 'one' (did you mean "
        "'channel'?)\n"
        "\n"
        "   1 | steps:\n"
        "   2 |   - {name: one, type: measure, chanel: 1}\n"
        "     |                                ^^^^^^\n"
    )


SENDER = '''
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from pytest_orchestrator.extending import StepFailure, StepType

Lines = Annotated[list[Any], Meta(description="The lines.", examples=[["x"]])]


class Send(StepType):
    """Sends lines."""

    name = "send"

    class Keys(msgspec.Struct):
        lines: Lines
        port: Annotated[str, Meta(description="The port.", examples=["a"])] = "a"

    def run(self, keys, ctx, env):
        if keys.port == "none":
            raise StepFailure("no port", "not_found", "port")
        for at, line in enumerate(keys.lines):
            if "bad" in str(line):
                raise StepFailure(f"refused {line}", path=("lines", at, "text", "never"))
        return {"status": "ok"}


def pytest_recipe_step_types():
    return [Send]
'''


def test_a_failure_is_reported_at_the_value_that_it_is_about(project: Project) -> None:
    project.write("conftest.py", SENDER)
    used = project.recipe("_part", {"in": "type: send, lines: [good, {text: bad}]"})
    path = project.recipe(
        "x",
        {
            "plain": "type: send, lines: [good, {text: bad}]",
            "inline": "type: send, needs: [], isolation: inline, lines: [good, bad]",
            "again": "type: send, needs: [], lines: [text: bad], retry: {attempts: 2}",
            "value": "type: send, needs: [], lines: ['${{ vars.bad }}']",
            "element": "type: send, needs: [], foreach: [a, bad], lines: [{text: '${{ item }}'}]",
            "cell": "type: send, needs: [], matrix: {it: [bad]}, lines: ['${{ matrix.it }}']",
            "all": "type: send, needs: [], lines: '${{ [1, vars.bad] }}'",
            "port": "type: send, needs: [], lines: [], port: none",
        },
        head=f"vars: {{bad: bad}}\nfinally: [{{name: used, use: {used}}}]",
    )

    blocks = project.blocks()

    found = {}
    for name, block in blocks.items():
        file, at = used if name == "used.in" else path, block["step"]["place"]
        line = project.path.joinpath(file).read_text().splitlines()[at["line"] - 1]
        found[name] = line[at["column"] - 1 :].removesuffix("}")
    assert found == {
        "plain": "bad}]",
        "inline": "bad]",
        "again": "bad], retry: {attempts: 2}",
        "value": "'${{ vars.bad }}']",
        "element": "'${{ item }}'}]",
        "cell[it:bad]": "'${{ matrix.it }}']",
        "all": "'${{ [1, vars.bad] }}'",
        "port": "none",
        "used.in": "bad}]",
    }


def test_extensions_end_with_their_session(bench: Project) -> None:
    bench.recipe("x", steps(one="channel: 1"))
    assert bench.outcomes() == {"recipes/x.yaml::one": "passed"}
    bench.write("conftest.py", "")

    result = bench.run()

    result.stdout.fnmatch_lines(["*unknown type 'measure' in step 'one'*"])


def test_xdist_workers_have_the_extensions(bench: Project) -> None:
    bench.recipe("x", steps(one="channel: 1, success: {channels: [1]}"))

    bench.spawn("-n1").assert_outcomes(passed=1)


@pytest.mark.parametrize("mode", ["prepend", "importlib"])
def test_a_conftest_in_a_subfolder_adds_extensions_for_its_recipes(
    project: Project, mode: str
) -> None:
    project.write("lab/conftest.py", PLUGIN)
    project.write("conftest.py", "")
    project.write("lab/recipes/x.yaml", "steps:\n  - {name: one, type: measure, channel: 1}\n")
    project.recipe("y", {"two": ""})
    project.write("zoo/conftest.py", "")  # sys.modules holds the last module of that name
    project.write("zoo/test_z.py", "def test_z(): pass\n")

    assert project.outcomes(f"--import-mode={mode}") == {
        "lab/recipes/x.yaml::one": "passed",
        "recipes/y.yaml::two": "passed",
        "zoo/test_z.py::test_z": "passed",
    }


@pytest.mark.counted
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Measure.name = 'shell'", "step type Measure has the name 'shell', which another*has"),
        (
            "def pytest_recipe_step_types(): return [1]",
            "step type 1 is no class derived from StepType of pytest_orchestrator.extending",
        ),
        (
            "def pytest_recipe_step_types(): return 1",
            "pytest_recipe_step_types raised TypeError: 'int' object is not iterable",
        ),
        (
            "def pytest_recipe_criteria(): return [1]",
            "criterion 1 is no Criterion of pytest_orchestrator.extending",
        ),
        (
            "def pytest_recipe_criteria(): raise OSError('no bench')",
            "pytest_recipe_criteria raised OSError: no bench",
        ),
        (
            "class Bare(StepType):\n    'Does.'\ndef pytest_recipe_step_types(): return [Bare]",
            "step type Bare does not define run(self, keys, ctx, env)",
        ),
        (
            "Measure.__module__ = 'gone'",
            "step type Measure has to stand at the top level of a module that has a file",
        ),
    ],
)
def test_an_unusable_extension_is_a_usage_error_that_names_the_plugin(
    project: Project, text: str, expected: str
) -> None:
    project.pytester.syspathinsert()
    project.write("bringer.py", f"{PLUGIN}\n{text}\n")

    project.write("innocent.py", "def pytest_recipe_step_types(): return []\n")

    result = project.run("-p", "innocent", "-p", "bringer")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: plugin 'bringer': {expected}"])
