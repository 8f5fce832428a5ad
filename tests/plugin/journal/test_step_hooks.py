"""Hooks by which plugins receive the events of steps."""

import json
from typing import Any

import pytest

from tests.plugin.conftest import Project

FOLLOWER = '''
"""Notes each call of a hook, and who made it."""

import json
import threading


def note(hook, **told):
    told["main"] = threading.current_thread() is threading.main_thread()
    with open("told.txt", "a") as file:
        file.write(json.dumps({"hook": hook} | told) + "\\n")


def pytest_recipe_step_start(config, recipe, node, step, step_type):
    note("start", recipe=recipe, node=node, step=step, type=step_type)


def pytest_recipe_step_finish(config, recipe, node, step, result):
    note("finish", recipe=recipe, node=node, step=step, result=result)


def pytest_recipe_context_change(config, recipe, node, step, change):
    note("change", recipe=recipe, node=node, step=step, change=change)
'''


@pytest.fixture
def followed(project: Project) -> Project:
    """A project whose conftest writes each hook call to a file."""
    project.write("conftest.py", FOLLOWER)
    return project


def hook_calls(project: Project) -> list[dict[str, Any]]:
    path = project.path / "told.txt"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def short(project: Project) -> list[str]:
    """Return each call as one or two words."""
    return [
        f"{one['hook']} {one['step'] or one['change']['key']}"
        + (f" {one['result']['step']['state']}" if one["hook"] == "finish" else "")
        for one in hook_calls(project)
    ]


def test_hooks_receive_a_step_from_its_start_to_its_end(followed: Project) -> None:
    followed.recipe("x", {"one": ""})

    followed.run().assert_outcomes(passed=1)

    names = {"recipe": "recipes/x.yaml", "node": "recipes/x.yaml::one", "step": "one"}
    start, change, finish = hook_calls(followed)
    assert start == {"hook": "start", **names, "type": "python", "main": True}
    assert change["change"].pop("ts").endswith("Z")
    assert change == {
        "hook": "change",
        **names,
        "change": {"key": "done.one", "who": "one", "op": "set", "old": None, "new": True},
        "main": True,
    }
    result = finish.pop("result")
    assert finish == {"hook": "finish", **names, "main": True}
    assert (result["schema_version"], result["step"]["state"]) == ("1.0", "passed")


def test_hooks_receive_every_finish_but_a_start_only_of_steps_that_ran(followed: Project) -> None:
    followed.recipe(
        "x",
        {
            "good": "",
            "off": "if: 'false', needs: []",
            "bad": "function: refuse, needs: [], retry: {attempts: 2}",
            "never": "needs: [bad]",
        },
        {"last": ""},
    )

    followed.run()

    assert [one for one in short(followed) if not one.startswith("change")] == [
        "start good",
        "finish good passed",
        "finish off skipped",
        "start bad",
        "finish bad failed",
        "finish never blocked",
        "start last",
        "finish last passed",
    ]
    bad = next(
        one for one in hook_calls(followed) if one["hook"] == "finish" and one["step"] == "bad"
    )
    assert len(bad["result"]["attempts"]) == 1


def test_hooks_receive_a_step_with_a_failed_setup_once(followed: Project) -> None:
    followed.write(
        "conftest.py",
        FOLLOWER + "import pytest\n@pytest.fixture\ndef rig():\n    raise OSError('no rig')\n",
    )
    followed.recipe("x", {"one": "fixtures: [rig]"})

    followed.run("--json-report").assert_outcomes(errors=1)

    assert short(followed) == ["finish one failed"]


def test_hooks_receive_unselected_needed_and_finally_steps(followed: Project) -> None:
    followed.recipe("x", {"one": "", "two": ""}, {"last": ""})

    followed.run("recipes/x.yaml::two")

    starts = [one for one in short(followed) if one.startswith("start")]
    assert starts == ["start one", "start two", "start last"]


def test_hooks_receive_a_change_of_a_test_without_a_step(followed: Project) -> None:
    followed.write("test_x.py", "def test_x(ctx):\n    ctx.set('a', 1)\n")

    followed.run()

    (change,) = hook_calls(followed)
    assert (change["recipe"], change["node"], change["step"]) == (None, None, None)
    assert (change["change"]["key"], change["change"]["who"]) == ("a", "user")


def test_hooks_receive_parallel_steps_in_the_main_thread(followed: Project) -> None:
    followed.recipe("x", dict.fromkeys(("one", "two", "three"), "needs: []"))

    followed.run("--recipe-jobs=2").assert_outcomes(passed=3)

    assert all(one["main"] for one in hook_calls(followed))
    found = short(followed)
    for name in ("one", "two", "three"):
        mine = [one for one in found if one.split()[1] == name]
        assert mine == [f"start {name}", f"change {name}", f"finish {name} passed"]
    ends = [one for one in found if one.startswith("finish")]
    assert ends == [f"finish {name} passed" for name in ("one", "two", "three")]


def test_hooks_receive_changes_of_a_service_in_the_main_thread(followed: Project) -> None:
    followed.write(
        "serve.py",
        """
        import signal, time

        def run(ctx, params):
            ctx.set("up", True)
            print("up", flush=True)
            time.sleep(100)
        """,
    )
    followed.recipe(
        "x",
        {
            "up": "type: python, module: serve, function: run, background: true, "
            "ready: {stdout_matches: up}",
            "use": "",
        },
    )

    followed.run().assert_outcomes(passed=2)

    assert all(one["main"] for one in hook_calls(followed))
    found = [one for one in short(followed) if one.split()[1] == "up"]
    assert found == ["start up", "change up", "finish up passed", "finish up passed"]


def test_xdist_workers_call_hooks_for_the_steps_that_they_run(followed: Project) -> None:
    followed.recipe("x", {"one": "", "two": ""})

    followed.spawn("-n1").assert_outcomes(passed=2)

    assert [one for one in short(followed) if "change" not in one] == [
        "start one",
        "finish one passed",
        "start two",
        "finish two passed",
    ]


def test_hooks_receive_no_secret(followed: Project) -> None:
    followed.write(
        "steps.py",
        "def tell(ctx, params):\n"
        "    ctx.set('word', 'xyzzy42')\n"
        "    return {'status': 'off', 'reason': 'it is xyzzy42'}\n",
    )
    followed.recipe("x", {"one": "function: tell"}, head="secrets: [ctx.word]")

    followed.run()

    assert "xyzzy42" not in (followed.path / "told.txt").read_text()
    change = next(one["change"] for one in hook_calls(followed) if one["hook"] == "change")
    assert (change["new"], change["masked"]) == ("***", True)


@pytest.mark.counted
@pytest.mark.parametrize("hook", ["step_start", "step_finish", "context_change"])
def test_an_exception_in_a_hook_is_one_warning_and_changes_no_outcome(
    project: Project, hook: str
) -> None:
    project.write("conftest.py", f"def pytest_recipe_{hook}(step):\n    raise OSError('no room')\n")
    project.recipe("x", {"one": "", "two": ""})

    result = project.run("-W", "error")

    result.assert_outcomes(passed=2, warnings=1)
    result.stdout.fnmatch_lines(
        [
            "recipes/x.yaml::one",
            f"  *conftest.py:2: HookWarning: pytest_recipe_{hook} raised OSError: no room",
        ]
    )


def test_a_hook_may_end_the_session(project: Project) -> None:
    project.write(
        "conftest.py",
        "import pytest\ndef pytest_recipe_step_finish(step):\n"
        "    if step == 'one':\n        pytest.exit('enough', returncode=3)\n",
    )
    project.recipe("x", {"one": "", "two": ""}, {"last": ""})

    result = project.run()

    assert result.ret == 3
    assert project.ran == ["one", "last"]
