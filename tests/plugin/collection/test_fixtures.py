"""Steps use pytest's fixtures like test functions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.plugin.conftest import Project

_NOTE = """
from pathlib import Path

import pytest


def note(word):
    with Path("ran.txt").open("a") as file:
        file.write(word + "\\n")
"""
_HINT = "write a step for each value, or a fixture without parameters"


def test_autouse_fixtures_of_every_scope_are_set_up_for_steps(project: Project) -> None:
    project.write(
        "conftest.py",
        f"{_NOTE}\n"
        "def made(scope):\n"
        "    @pytest.fixture(autouse=True, scope=scope, name=f'auto_{scope}')\n"
        "    def auto():\n"
        "        note(f'+{scope}')\n"
        "        yield\n"
        "        note(f'-{scope}')\n"
        "    return auto\n"
        "one, two, three, four, five = map(\n"
        "    made, ['function', 'class', 'module', 'package', 'session']\n"
        ")\n",
    )
    project.recipe("x", {"a": ""}, {"b": ""})

    assert project.run().ret == 0
    assert project.ran == [
        *["+session", "+package", "+module", "+class", "+function"],
        *["a", "-function", "-class", "+class", "+function", "b"],
        *["-function", "-class", "-module", "-package", "-session"],
    ]


def test_a_module_fixture_is_set_up_once_a_recipe(project: Project) -> None:
    project.write(
        "conftest.py",
        f"{_NOTE}\n"
        "@pytest.fixture(scope='module')\n"
        "def supply(request):\n"
        "    note(f'+{request.path.name}:{request.module.__name__}')\n"
        "    yield\n"
        "    note('-')\n",
    )
    for name in ("x", "y"):
        project.recipe(name, {f"{name}1": "", f"{name}2": ""}, head="fixtures: [supply]")

    assert project.run().ret == 0
    assert project.ran == ["+x.yaml:x", "x1", "x2", "-", "+y.yaml:y", "y1", "y2", "-"]


@pytest.fixture
def bench(project: Project) -> Project:
    """A project with fixtures and scriptlets that use them."""
    project.write(
        "conftest.py",
        """
        import pytest

        @pytest.fixture
        def supply():
            return 12

        @pytest.fixture
        def load():
            return 3

        @pytest.fixture(params=[1, 2])
        def channel(request):
            return request.param

        @pytest.fixture
        def probe(channel):
            return channel
        """,
    )
    project.write(
        "bench.py",
        """
        def both(ctx, params, supply, load):
            ctx.set("amps", supply / load)
            return {"status": "ok"}

        def some(params, *, load, missing=7):
            assert (load, missing) == (3, 7)
            return {"status": "ok"}

        class Both:
            def validate(self, params, supply):
                assert supply == 12

            def run(self, context, params, load):
                assert (context.get("amps"), params, load) == (4, {}, 3)
                return {"status": "ok"}
        """,
    )
    return project


def test_fixtures_are_passed_by_keyword_to_step_code_with_such_parameters(bench: Project) -> None:
    call = "type: python, module: bench"
    bench.recipe(
        "x",
        {
            "both": f"{call}, function: both",
            "some": f"{call}, function: some",
            "Both": f"{call}, class: Both",
            "shell": "type: shell, cmd: 'true', parse: text",
        },
        head="fixtures: [supply, load]",
    )

    assert bench.reasons() == {}
    assert bench.blocks()["both"]["context"]["writes"][0]["new"] == 4


def test_a_fixture_that_the_step_does_not_name_is_not_passed(bench: Project) -> None:
    bench.recipe("x", {"both": "type: python, module: bench, function: both, fixtures: [load]"})

    assert bench.reasons()["both"] == (
        "params has no 'supply', which both(ctx, params, supply, load) needs; a pytest fixture "
        "is named in the step's fixtures (now load)"
    )


def test_an_unknown_fixture_is_an_error_at_its_line_with_a_suggestion(bench: Project) -> None:
    bench.recipe("x", {"near": "fixtures: [suply]", "far": "needs: [], fixtures: [quite_else]"})
    bench.recipe("y", {"all": ""}, head="fixtures: [laod]")

    result = bench.run("-rE")

    assert bench.shown(result, "ERROR at setup of near") == (
        "recipes/x.yaml:2:95: fixture 'suply' of step 'near' not found (did you mean 'supply'?)\n"
        "\n"
        "   1 | steps:\n"
        "   2 |   - {name: near, type: python, module: steps, params: {name: near}, "
        "function: note, fixtures: [suply]}\n"
        "     |                                                                   "
        "                            ^^^^^^^\n"
    )
    assert [line for line in result.outlines if line.startswith("ERROR")] == [
        "ERROR recipes/x.yaml::near - fixture 'suply' not found (did you mean 'supply'?)",
        "ERROR recipes/x.yaml::far - fixture 'quite_else' not found (see `pytest --fixtures`)",
        "ERROR recipes/y.yaml::all - fixture 'laod' not found (did you mean 'load'?)",
    ]


@pytest.mark.counted
@pytest.mark.parametrize("style", ["short", "long", "native", "line"])
def test_no_traceback_style_shows_frames_for_an_unknown_fixture(bench: Project, style: str) -> None:
    bench.recipe("x", {"one": "fixtures: [suply]"})

    shown = bench.run(f"--tb={style}").stdout

    shown.no_fnmatch_line("*.py:*")
    shown.no_fnmatch_line('*File "*')


def test_a_parametrized_fixture_is_an_error_at_its_line(bench: Project) -> None:
    bench.recipe("x", {"named": "fixtures: [channel]", "used": "needs: [], fixtures: [probe]"})

    result = bench.run()

    assert bench.shown(result, "ERROR at setup of named").splitlines()[0] == (
        "recipes/x.yaml:2:97: fixture 'channel' of step 'named' has parameters, "
        f"and a step is one item ({_HINT})"
    )
    assert bench.shown(result, "ERROR at setup of used").splitlines()[0] == (
        "recipes/x.yaml:3:12: fixture 'channel' of step 'used' has parameters, "
        f"and a step is one item ({_HINT})"
    )


def test_steps_work_with_a_fixture_named_ctx_of_the_user(project: Project) -> None:
    project.write(
        "conftest.py",
        """
        import pytest

        @pytest.fixture
        def ctx():
            return "mine"

        @pytest.fixture(autouse=True)
        def uses(ctx):
            assert ctx == "mine"
        """,
    )
    project.recipe("x", {"one": "success: {ctx_has_keys: [done.one]}"})
    project.write(
        "test_x.py",
        """
        def test_x(ctx, orchestrator_context):
            assert ctx == "mine"
            assert orchestrator_context.get("done.one") is True
        """,
    )

    assert project.run().parseoutcomes() == {"passed": 2}


def test_ctx_is_the_context_of_the_session(project: Project) -> None:
    project.recipe("x", {"one": ""})
    project.write(
        "test_x.py",
        """
        def test_x(ctx, orchestrator_context):
            assert ctx is orchestrator_context
            assert ctx.get("done") == {"one": True}
            ctx.set("mine", 1)
            assert ctx.get_history("mine")[0]["who"] == "user"
            assert ctx.get_history("done.one")[0]["who"] == "one"
        """,
    )

    assert project.run().parseoutcomes() == {"passed": 2}


def test_skipif_conditions_as_text_are_evaluated_for_steps(project: Project) -> None:
    project.write(
        "conftest.py",
        """
        import pytest

        WHEN = {"one": "sys.maxsize > 1", "two": "os.sep == '?'", "three": "config.rootpath"}

        def pytest_collection_modifyitems(items):
            for item in items:
                item.add_marker(pytest.mark.skipif(WHEN[item.name], reason="not here"))
        """,
    )
    project.recipe("x", dict.fromkeys(["one", "two", "three"], "needs: []"))

    assert project.reasons() == {"one": "skipped: not here", "three": "skipped: not here"}


def test_usefixtures_of_the_ini_file_are_set_up_for_steps(project: Project) -> None:
    project.write(
        "conftest.py",
        f"{_NOTE}\n"
        "@pytest.fixture\n"
        "def supply():\n"
        "    note('supply')\n"
        "\n"
        "@pytest.fixture\n"
        "def skipped():\n"
        "    pytest.skip('no bench')\n",
    )
    project.ini("usefixtures = supply")
    project.recipe("x", {"one": "", "two": "fixtures: [skipped]", "three": ""})

    assert project.reasons() == {
        "two": "skipped: no bench",
        "three": "skipped: blocked by recipes/x.yaml::two",
    }
    assert project.ran == ["supply", "one", "supply", "supply"]


def test_a_teardown_that_fails_is_an_error_of_its_step(project: Project) -> None:
    project.write(
        "conftest.py",
        """
        import pytest

        @pytest.fixture
        def supply():
            yield
            raise OSError("still on")
        """,
    )
    project.recipe("x", {"one": "fixtures: [supply]", "two": ""})

    assert project.run().parseoutcomes() == {"passed": 2, "errors": 1}
