"""Steps together with other pytest plugins."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.plugin.conftest import Project


def test_other_plugins_receive_the_exception_type_of_a_step(project: Project) -> None:
    project.write(
        "conftest.py",
        """
        from pathlib import Path

        def pytest_exception_interact(call):
            raised = call.excinfo
            is_assertion = isinstance(raised.value, AssertionError)
            with Path("seen.txt").open("a") as file:
                file.write(f"{raised.exconly()} {is_assertion}\\n")
        """,
    )
    project.write("more.py", "def divide():\n    1 / 0\n")
    project.recipe(
        "a",
        {
            "off": "type: python, module: steps, function: boom, params: {name: off}",
            "divided": "type: python, module: more, function: divide, needs: []",
        },
    )

    project.run()

    seen = (project.path / "seen.txt").read_text()
    assert "AssertionError: the bench is off" in seen
    assert "ZeroDivisionError: division by zero False\n" in seen
    assert seen.count("True") == 1
    assert "Raised" not in seen


def test_pytest_rich_receives_only_python_files(project: Project) -> None:
    project.recipe("a", {"off": "function: boom"})
    assert "recipes/a.yaml:2" in "".join(project.frames(project.run(), "off"))
    project.write(
        "conftest.py",
        """
        def pytest_configure(config):
            config.pluginmanager.register(object(), "rich-terminal-reporter")
        """,
    )

    (frame,) = project.frames(project.run(), "off")

    assert frame.startswith("steps.py:")


@pytest.mark.counted
def test_files_of_pytest_workflow_are_not_collected(project: Project) -> None:
    project.write("tests/test_hello.yml", "- {name: hello, command: echo hello}\n")
    project.write("tests/test_a.yaml", "steps: [{name: s, type: shell, cmd: 'true'}]\n")
    assert "should be a mapping" in project.run("tests/test_hello.yml").stdout.str()
    project.write(
        "conftest.py",
        """
        def pytest_configure(config):
            config.pluginmanager.register(object(), "pytest-workflow")
        """,
    )

    assert "should be a mapping" not in project.run("tests/test_hello.yml").stdout.str()
    assert project.items("tests/test_a.yaml") == ["tests/test_a.yaml::s"]


def test_a_step_ended_by_pytest_timeout_is_shown_without_plugin_frames(
    project: Project,
) -> None:
    project.write(
        "conftest.py",
        """
        import signal
        import threading
        import time
        from pathlib import Path

        import pytest

        def expired(number, frame):
            pytest.fail("Timeout (>0.5s) from a plugin.")

        def expire():
            while not Path("begun").exists():
                time.sleep(0.01)
            signal.pthread_kill(threading.main_thread().ident, signal.SIGALRM)

        @pytest.hookimpl(wrapper=True)
        def pytest_runtest_call(item):
            if item.name != "slow":
                return (yield)
            before = signal.signal(signal.SIGALRM, expired)
            threading.Thread(target=expire).start()
            try:
                return (yield)
            finally:
                signal.signal(signal.SIGALRM, before)
        """,
    )
    slow = "type: shell, cmd: touch begun; sleep 60, parse: text"
    project.recipe("a", {"slow": slow, "next": "needs: []"})

    result = project.run()

    assert result.parseoutcomes() == {"interrupted": 1, "passed": 1}
    assert project.frames(result, "slow") == ["recipes/a.yaml:2:", "conftest.py:9: Failed"]
    assert "interrupted after" in result.stdout.str()


def test_line_of_pytest_metadata_is_shown_to_projects_that_use_it(project: Project) -> None:
    project.write("test_hand.py", "def test_hand(): pass\n")

    def has_line(*args: str) -> bool:
        return any(one.startswith("metadata: {") for one in project.run("-v", *args).outlines)

    assert not has_line()
    assert not has_line("-p", "no:metadata")
    assert has_line("--json-report")
    assert has_line("--metadata", "bench", "3")
    project.write("conftest.py", "def pytest_metadata(metadata): metadata['bench'] = 3\n")
    assert has_line()
