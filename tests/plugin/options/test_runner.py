"""`--recipe-runner` and `--recipe-dask`: settings that are checked before any step runs."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from pytest_orchestrator.addons.dask.cluster import Scheduler
from pytest_orchestrator.plugin.options import runner, settings
from tests.plugin.conftest import PYTEST

if TYPE_CHECKING:
    from collections.abc import Callable
    from importlib.machinery import ModuleSpec

    from tests.plugin.conftest import Project


@pytest.fixture
def config(pytester: pytest.Pytester) -> Callable[..., pytest.Config]:
    """Return a function that makes the configuration of a session without running it."""
    return lambda *args: pytester.parseconfig("-p", "no:rerunfailures", *args)


def test_steps_run_on_this_machine_unless_dask_is_configured(
    config: Callable[..., pytest.Config], pytester: pytest.Pytester
) -> None:
    assert runner.dask_scheduler(config()) is None
    assert runner.dask_scheduler(config("--recipe-runner=local")) is None
    asked = config("--recipe-dask=tcp://bench-1:8786")
    assert runner.dask_scheduler(asked) == Scheduler(address="tcp://bench-1:8786")
    both = config("--recipe-runner=dask", "--recipe-dask=local:2")
    assert runner.dask_scheduler(both) == Scheduler(workers=2)

    pytester.makeini("[pytest]\nrecipe_dask = local:3")
    assert runner.dask_scheduler(config()) is None  # a scheduler alone does not select the runner
    assert runner.dask_scheduler(config("--recipe-runner=dask")) == Scheduler(workers=3)
    pytester.makeini("[pytest]\nrecipe_runner = dask\nrecipe_dask = local:3")
    assert runner.dask_scheduler(config()) == Scheduler(workers=3)
    assert runner.dask_scheduler(config("--recipe-dask=local:1")) == Scheduler(workers=1)
    assert runner.dask_scheduler(config("--recipe-runner=local")) is None


def test_the_number_of_jobs_follows_the_number_of_workers(
    config: Callable[..., pytest.Config],
) -> None:
    assert settings.jobs(config()) == 1
    assert settings.jobs(config("--recipe-dask=local:3")) == 3
    assert settings.jobs(config("--recipe-dask=tcp://bench-1:8786")) == runner.MANY
    assert settings.jobs(config("--recipe-dask=local:3", "--recipe-jobs=2")) == 2
    assert settings.jobs(config("--recipe-dask=local:3", "--pdb")) == 1


def test_the_options_that_repeat_a_step_contain_its_runner(
    config: Callable[..., pytest.Config],
) -> None:
    assert runner.options(config()) == []
    given = ["--recipe-runner=dask", "--recipe-dask=lab/scheduler.json"]
    assert runner.options(config(*given)) == given


def test_steps_run_on_this_machine_under_a_debugger(config: Callable[..., pytest.Config]) -> None:
    for option in ("--pdb", "--trace"):
        watched = config(option, "--recipe-dask=local:2")
        assert runner.dask_scheduler(watched) is None
        assert runner.header_text(watched) == f"on this machine and not on Dask: {option}"
    assert runner.header_text(config("--recipe-dask=local:2")) == "on Dask at local:2"
    assert runner.header_text(config()) == ""


def test_a_scheduler_file_in_the_ini_file_is_relative_to_the_rootdir(
    config: Callable[..., pytest.Config], pytester: pytest.Pytester
) -> None:
    pytester.makeini("[pytest]\nrecipe_runner = dask\nrecipe_dask = lab/scheduler.json")
    (pytester.mkdir("lab") / "scheduler.json").write_text('{"address": "tls://h:1"}')

    found = runner.dask_scheduler(config())

    assert found == Scheduler(file=pytester.path / "lab" / "scheduler.json")


@pytest.mark.counted
@pytest.mark.parametrize(
    ("ini", "args", "expected"),
    [
        (
            "",
            ["--recipe-runner=dask"],
            (
                "--recipe-runner=dask does not say where Dask is: add "
                "--recipe-dask=tcp://HOST:8786, a scheduler file, or "
                "--recipe-dask=local:2 for two workers on this machine"
            ),
        ),
        (
            "recipe_runner = dask",
            [],
            (
                "ini key recipe_runner does not say where Dask is: add "
                "--recipe-dask=tcp://HOST:8786, a scheduler file, or "
                "--recipe-dask=local:2 for two workers on this machine"
            ),
        ),
        (
            "",
            ["--recipe-runner=local", "--recipe-dask=local:2"],
            (
                "--recipe-dask has steps run by workers of Dask, and --recipe-runner=local on this "
                "machine: leave one of them out"
            ),
        ),
        (
            "recipe_runner = dusk",
            [],
            "ini key recipe_runner: 'dusk' is no runner; write local or dask",
        ),
        (
            "recipe_runner = dask\nrecipe_dask = local",
            [],
            (
                "ini key recipe_dask: 'local' is no number of workers; write local:2, at most "
                "local:1000"
            ),
        ),
        (
            "",
            ["--recipe-dask=http://x:1"],
            (
                "--recipe-dask: 'http://x:1' is no address of a scheduler; write tcp://HOST:8786, "
                "the path of a scheduler file, or local:2"
            ),
        ),
    ],
)
def test_contradictory_runner_settings_are_usage_errors(
    config: Callable[..., pytest.Config],
    pytester: pytest.Pytester,
    ini: str,
    args: list[str],
    expected: str,
) -> None:
    pytester.makeini(f"[pytest]\n{ini}")
    session = config(*args)

    with pytest.raises(pytest.UsageError) as caught:
        runner.check(session)

    assert str(caught.value) == expected


@pytest.mark.counted
def test_the_error_without_dask_names_the_package_to_install(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = importlib.util.find_spec

    def find_spec(name: str, package: str | None = None) -> ModuleSpec | None:
        return None if name == "distributed" else found(name, package)

    monkeypatch.setattr(runner, "find_spec", find_spec)
    project.recipe("a", {"one": ""})

    result = project.run("--recipe-dask=local:2")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        "ERROR: --recipe-dask needs Dask: python -m pip install 'pytest-orchestrator[[]dask]'"
    )
    assert not (project.path / "ran.txt").exists()


def test_the_error_of_a_local_cluster_without_cryptography_names_the_package(
    project: Project,
) -> None:
    project.write("conftest.py", "import sys\nsys.modules['cryptography'] = None\n")
    project.recipe("a", {"one": ""})

    result = project.spawn("--recipe-dask=local:2")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        "ERROR: *local:2 needs cryptography: python -m pip install 'pytest-orchestrator[[]dask]'"
    )
    assert not (project.path / "ran.txt").exists()


def test_xdist_workers_and_dask_workers_exclude_each_other(
    config: Callable[..., pytest.Config],
) -> None:
    session = config("--recipe-dask=local:2", "--dist=load", "--tx=2*popen")

    with pytest.raises(pytest.UsageError) as caught:
        runner.check(session)

    assert str(caught.value) == (
        "--recipe-dask has steps run by workers of Dask, and pytest-xdist has recipes run by its "
        "own: add -n0"
    )


def test_the_header_names_the_scheduler_and_the_help_the_options(project: Project) -> None:
    project.recipe("a", {"one": ""})

    output = project.run("--collect-only", "--recipe-dask=tcp://bench-1:8786").stdout.str()

    assert ": 1 recipe, 1 step, on Dask at tcp://bench-1:8786\n" in output
    code = (
        "import sys, pytest_orchestrator.plugin.hooks as _; sys.exit('distributed' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_dask_is_refused_for_a_project_path_that_is_not_utf8(project: Project) -> None:
    root = project.write("p\udcff/pytest.ini", "[pytest]\n").parent
    project.write("p\udcff/recipes/a.yaml", "steps: [{name: a, type: shell, cmd: ':'}]\n")

    ended = subprocess.run(
        [*PYTEST, "--recipe-dask=local:1"], cwd=root, capture_output=True, check=False
    )

    assert (ended.returncode, ended.stderr.decode()) == (
        pytest.ExitCode.USAGE_ERROR,
        "ERROR: --recipe-dask: workers need paths in UTF-8, and that of this project is not: "
        rf"{project.path}/p\xff" + "\n\n",
    )
