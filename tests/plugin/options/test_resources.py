"""Counted resources of parallel steps and of several sessions."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.plugin.conftest import Project

# Each step has a folder of its own, which exists while the step runs.
# It stays for some looks, or until there are too many.
_STEP = (
    "mkdir run.$$; for look in $(seq $LOOKS); do "
    "[ $(ls -d run.* | wc -l) -le 2 ] || touch too_many; [ -e too_many ] && break; sleep 0.05; "
    "done; rmdir run.$$"
)


def _recipe(name: str, steps: int, wanted: str) -> str:
    keys = f"type: shell, parse: text, cmd: '{_STEP}', needs: [], resources: {wanted}"
    return "steps:\n" + "".join(f"  - {{name: {name}{n}, {keys}}}\n" for n in range(steps))


def test_parallel_steps_never_use_more_resources_than_configured(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOOKS", "3")
    project.ini("recipe_resources = scope=9")
    project.write("recipes/a.yaml", _recipe("a", 5, "{scope: 1}"))
    project.write("recipes/b.yaml", _recipe("b", 5, "{scope: 1}"))
    result = project.spawn(
        "-n", "2", "--dist", "loadfile", "--recipe-jobs", "5", "--recipe-resource", "scope=2"
    )

    assert result.parseoutcomes() == {"passed": 10}
    assert not (project.path / "too_many").exists()
    monkeypatch.setenv("LOOKS", "1200")
    assert len(project.spawn("--recipe-jobs=5", "--recipe-resource=scope=5").outlines) > 5
    assert (project.path / "too_many").exists()  # so that the first run proves something


def test_steps_with_unavailable_resources_are_errors_before_anything_runs(project: Project) -> None:
    project.write(
        "recipes/a.yaml",
        "defaults: {resources: {scope: 1}}\n"
        "steps:\n"
        "  - {name: a, type: shell, parse: text, cmd: 'touch ran'}\n"
        "  - {name: b, type: shell, parse: text, cmd: 'true', resources: {scope: 3}}\n"
        "  - {name: c, type: shell, parse: text, cmd: 'true', resources: {scoop: 1}}\n"
        "  - {name: d, type: shell, parse: text, cmd: 'true', resources: {gpu: 2}}\n",
    )
    output = project.run("--recipe-resource", "scope=2").stdout.str()

    none = "and no number is configured"
    for line in (
        "step 'b' needs 3 of 'scope', and the configured number is 2 (--recipe-resource scope=3)",
        f"step 'c' needs 1 of 'scoop', {none} (did you mean 'scope'?)",
        f"step 'd' needs 2 of 'gpu', {none} (--recipe-resource gpu=2)",
    ):
        assert line in output
    assert not (project.path / "ran").exists()


@pytest.mark.counted
def test_a_step_of_another_machine_is_an_error_before_anything_runs(project: Project) -> None:
    here = socket.gethostname()
    project.write(
        "recipes/a.yaml",
        "steps:\n"
        "  - {name: a, type: shell, parse: text, cmd: 'touch ran', host: localhost}\n"
        "  - {name: b, type: shell, parse: text, cmd: 'true', host: bench-3}\n"
        "  - {name: c, type: shell, parse: text, cmd: 'true', host: bench-3, background: true}\n",
    )
    output = project.run().stdout.str()

    head = f"is to run on 'bench-3', and this machine is '{here}'"
    assert f"3:60: step 'b' {head} (--recipe-runner=dask, or host: {here})" in output
    assert f"4:60: step 'c' {head} (host: {here})" in output
    assert "2 problems" in output
    assert not (project.path / "ran").exists()

    asks = "steps: [{name: a, type: shell, cmd: x, host: bench-3, resources: {scope: 3}}]"
    project.write("recipes/a.yaml", asks)
    away = project.run("--collect-only", "--recipe-dask=local:2")
    assert away.ret == 0  # the resources of workers are known only after a connection
    away = project.run("--collect-only", "--recipe-dask=local:2", "--recipe-resource=scope=2")
    assert "step 'a' needs 3 of 'scope', and the configured number is 2" in away.stdout.str()


def test_a_resource_count_must_be_a_number(project: Project) -> None:
    project.write(
        "recipes/a.yaml",
        "steps:\n  - {name: a, type: shell, cmd: x, resources: {scope: 0}}\n",
    )

    assert (
        "'resources.scope' in shell step 'a' is 0, should be 1 to 1000"
        in project.run().stdout.str()
    )
    result = project.run("--recipe-resource", "scope")
    assert "--recipe-resource: 'scope' should be like scope=2" in result.stderr.str()
