"""Recipes with their own Context, a layer above that of the session."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.plugin.conftest import Project

_KEYS = """
def read(ctx, params):
    found = {key: ctx.get(key) for key in params["want"]}
    assert found == params["want"]
    return {"status": "ok"}


def write(ctx, params):
    ctx.append("list", params["name"])
    ctx.increment("count")
    if "gone" in ctx:
        ctx.delete("gone")
    return {"status": "ok"}


def begin(ctx, params):
    ctx.set("list", ["session"])
    ctx.set("count", 1)
    ctx.set("gone", True)
    return {"status": "ok"}
"""


def _step(function: str, **params: object) -> str:
    shown = ", ".join(f"{key}: {value}" for key, value in params.items())
    return f"type: python, module: keys, function: {function}, params: {{{shown}}}"


@pytest.fixture
def layered(project: Project) -> Project:
    """A project whose second recipe has its own Context."""
    project.write("keys.py", _KEYS)
    project.recipe("a", {"begin": _step("begin")})
    project.recipe(
        "b",
        {
            "first": _step("write", name="first"),
            "second": _step("write", name="second"),
            "seen": _step("read", want="{list: [session, first, second], count: 3, gone: null}"),
        },
        {"last": _step("read", want="{list: [session, first, second], count: 3, gone: null}")},
        head="context: recipe",
    )
    project.recipe("c", {"after": _step("read", want="{list: [session], count: 1, gone: true}")})
    return project


@pytest.mark.parametrize("jobs", ["--recipe-jobs=1", "--recipe-jobs=3"])
def test_writes_to_the_own_context_of_a_recipe_end_with_the_recipe(
    layered: Project, jobs: str
) -> None:
    result = layered.run(jobs)

    assert result.parseoutcomes() == {"passed": 6}


def test_an_inline_step_uses_the_own_context_of_its_recipe(layered: Project) -> None:
    text = (layered.path / "recipes/b.yaml").read_text()
    layered.write("recipes/b.yaml", text.replace("module: keys", "module: keys, isolation: inline"))

    assert layered.run().parseoutcomes() == {"passed": 6}


def test_a_marked_test_gets_the_own_context_of_its_recipe(layered: Project) -> None:
    layered.write(
        "test_x.py",
        """
        import pytest

        @pytest.fixture
        def seen(ctx):
            return ctx.get("count")

        @pytest.fixture(scope="module")
        def module_seen(ctx):
            return ctx.get("count")

        def test_before(ctx, orchestrator_context, seen):
            assert ctx is orchestrator_context
            assert seen == 1

        @pytest.mark.recipe("recipes/b.yaml")
        def test_with(ctx, orchestrator_context, seen):
            assert (ctx.get("count"), ctx.get("gone"), seen) == (3, None, 3)
            assert orchestrator_context.get("count") == 1

        @pytest.mark.recipe("recipes/b.yaml")
        @pytest.mark.parametrize("number", [1, 2])
        def test_each(number, ctx, module_seen):
            assert (ctx.get("list"), module_seen) == (["session", "first", "second"], 3)

        @pytest.mark.recipe("recipes/a.yaml")
        def test_other(ctx, orchestrator_context):
            assert ctx is orchestrator_context
        """,
    )

    result = layered.run("recipes/a.yaml", "test_x.py")

    assert result.parseoutcomes() == {"passed": 6}
    assert layered.items("test_x.py") == [
        "test_x.py::test_before",
        "test_x.py::test_with",
        "test_x.py::test_each[1]",
        "test_x.py::test_each[2]",
        "test_x.py::test_other",
    ]


def test_each_parameter_gets_the_own_context_of_its_marker(layered: Project) -> None:
    layered.write(
        "recipes/cells.yaml",
        """
        matrix: {k: [1, 2]}
        steps:
          - name: a
            type: shell
            cmd: echo '{"status":"ok"}'
            outputs: {"k": "${{ matrix.k }}"}
        """,
    )
    layered.write(
        "test_x.py",
        """
        import pytest

        CELLS = [pytest.mark.recipe("recipes/cells.yaml", matrix={"k": k}) for k in (1, 2)]
        ENDED = []

        @pytest.fixture(scope="module")
        def module_seen(ctx):
            seen = ctx.get("k"), ctx.get("count")
            yield seen
            ENDED.append(seen)

        @pytest.fixture(params=[pytest.param(one, marks=CELLS[one - 1]) for one in (1, 2)])
        def cell(request, ctx):
            return ctx["k"] == request.param

        @pytest.mark.parametrize(
            ("k", "count"),
            [
                pytest.param(1, 1, marks=CELLS[0]),
                pytest.param(None, 1),
                pytest.param(2, 1, marks=CELLS[1]),
                pytest.param(None, 3, marks=pytest.mark.recipe("recipes/b.yaml")),
                pytest.param(1, 1, marks=CELLS[0]),
                pytest.param(1, 1, marks=CELLS[0]),
            ],
        )
        def test_it(ctx, orchestrator_context, module_seen, k, count):
            assert (ctx.get("k"), ctx.get("count")) == module_seen == (k, count)
            assert (ctx is orchestrator_context) == (k is None and count == 1)

        def test_fixture(cell):
            assert cell

        def test_ended():
            assert ENDED == [(1, 1), (None, 1), (2, 1), (None, 3), (1, 1)]
        """,
    )

    result = layered.run("recipes/a.yaml", "test_x.py")

    assert result.parseoutcomes() == {"passed": 10}


def test_a_fixture_named_ctx_of_the_user_has_priority(layered: Project) -> None:
    layered.write(
        "test_x.py",
        """
        import pytest

        @pytest.fixture
        def ctx():
            return "mine"

        @pytest.mark.recipe("recipes/b.yaml")
        def test_it(ctx):
            assert ctx == "mine"
        """,
    )

    assert layered.run("recipes/a.yaml", "test_x.py").parseoutcomes() == {"passed": 2}


def test_an_invalid_context_value_is_an_error_that_names_the_valid_ones(project: Project) -> None:
    project.recipe("x", {"one": ""}, head="context: recipes")

    result = project.run()

    result.stdout.fnmatch_lines(
        ["recipes/x.yaml:1:10: 'context' is 'recipes', should be 'session' or 'recipe' (did *"]
    )
