"""Placement of steps on workers, and the problems if no worker can run a step."""

from __future__ import annotations

import re
import socket
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_orchestrator.execution.scheduling import placement
from pytest_orchestrator.execution.scheduling.placement import Offer, refusals, workers_for
from pytest_orchestrator.recipe import Recipe, RecipeError, Step, load

ROOT = Path(__file__).parents[3]
HERE = socket.gethostname()
THERE = [
    Offer("tcp://10.0.0.1:1", "bench-1", "lab-a.example.org", {"scope": 2, "gpu": 1}),
    Offer("tcp://10.0.0.1:2", "bench-2", "lab-a.example.org", {"scope": 1, "licence": 4}),
    Offer("tcp://10.0.0.2:1", "bench-3", HERE, {"thermal": 1}),
]
TEXT = """\
steps:
  - {name: plain, type: shell, cmd: x}
  - {name: named, type: shell, cmd: x, host: bench-2}
  - {name: there, type: shell, cmd: x, host: LAB-A}
  - {name: here, type: shell, cmd: x, host: localhost}
  - {name: by_resource, type: shell, cmd: x, host: thermal}
  - {name: two, type: shell, cmd: x, resources: {scope: 2}}
  - {name: counted, type: shell, cmd: x, resources: {scope: 1, psu: 3}}
  - {name: three, type: shell, cmd: x, resources: {scope: 3}}
  - {name: wrong, type: shell, cmd: x, resources: {scoop: 1}}
  - {name: none, type: shell, cmd: x, host: bench-3, resources: {camera: 1}}
  - {name: both, type: shell, cmd: x, resources: {licence: 1, gpu: 1}}
  - {name: strange, type: shell, cmd: x, host: bench-9}
  - {name: far, type: shell, cmd: x, host: moon}
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    (tmp_path / "x.yaml").write_text(TEXT)
    return load(tmp_path / "x.yaml", root=tmp_path)


def test_a_worker_runs_steps_that_name_it_and_whose_resources_it_has(recipe: Recipe) -> None:
    found = {
        step.name: [each[-4:] for each in workers_for(step, THERE, {"psu"})]
        for step in recipe.steps
    }

    assert found == {
        "plain": [".1:1", ".1:2", ".2:1"],
        "named": [".1:2"],
        "there": [".1:1", ".1:2"],
        "here": [".2:1"],
        "by_resource": [".2:1"],
        "two": [".1:1"],
        "counted": [".1:1", ".1:2"],
        **{key: [] for key in ("three", "wrong", "none", "both", "strange", "far")},
    }


def test_a_step_that_no_worker_can_run_is_reported_with_a_hint(recipe: Recipe) -> None:
    found = refusals(recipe.steps, THERE, {"psu"})

    assert (
        RecipeError(found, recipe.id, recipe.text).render()
        == """\
x.yaml:9:51: step 'three' needs 3 of 'scope', and no worker has more than 2 \
(dask worker --resources "scope=3")

   7 |   - {name: two, type: shell, cmd: x, resources: {scope: 2}}
   8 |   - {name: counted, type: shell, cmd: x, resources: {scope: 1, psu: 3}}
   9 |   - {name: three, type: shell, cmd: x, resources: {scope: 3}}
     |                                                   ^^^^^^^^^^
x.yaml:10:51: step 'wrong' needs 1 of 'scoop', and no worker has any (did you mean 'scope'?)

   8 |   - {name: counted, type: shell, cmd: x, resources: {scope: 1, psu: 3}}
   9 |   - {name: three, type: shell, cmd: x, resources: {scope: 3}}
  10 |   - {name: wrong, type: shell, cmd: x, resources: {scoop: 1}}
     |                                                   ^^^^^^^^^^
x.yaml:11:65: step 'none' needs 1 of 'camera', and no worker on 'bench-3' has any \
(dask worker --resources "camera=1")

   9 |   - {name: three, type: shell, cmd: x, resources: {scope: 3}}
  10 |   - {name: wrong, type: shell, cmd: x, resources: {scoop: 1}}
  11 |   - {name: none, type: shell, cmd: x, host: bench-3, resources: {camera: 1}}
     |                                                                 ^^^^^^^^^^^
x.yaml:12:50: step 'both' needs 1 of 'licence' and 1 of 'gpu', and no worker has all of that \
(dask worker --resources "licence=1 gpu=1")

  10 |   - {name: wrong, type: shell, cmd: x, resources: {scoop: 1}}
  11 |   - {name: none, type: shell, cmd: x, host: bench-3, resources: {camera: 1}}
  12 |   - {name: both, type: shell, cmd: x, resources: {licence: 1, gpu: 1}}
     |                                                  ^^^^^^^^^^^^^^^^^^^^
x.yaml:13:48: step 'strange' is to run on 'bench-9', and no worker has that name, host or resource \
(did you mean 'bench-3'?)

  11 |   - {name: none, type: shell, cmd: x, host: bench-3, resources: {camera: 1}}
  12 |   - {name: both, type: shell, cmd: x, resources: {licence: 1, gpu: 1}}
  13 |   - {name: strange, type: shell, cmd: x, host: bench-9}
     |                                                ^^^^^^^
x.yaml:14:44: step 'far' is to run on 'moon', and no worker has that name, host or resource \
(dask worker --name moon)

  12 |   - {name: both, type: shell, cmd: x, resources: {licence: 1, gpu: 1}}
  13 |   - {name: strange, type: shell, cmd: x, host: bench-9}
  14 |   - {name: far, type: shell, cmd: x, host: moon}
     |                                            ^^^^
6 problems"""
    )


def test_a_step_without_any_worker_is_reported(recipe: Recipe) -> None:
    assert [one.text for one in refusals(recipe.steps[:1], [])] == [
        "step 'plain' has no worker: none is running (dask worker)"
    ]


def test_a_step_of_a_used_file_is_reported_at_its_position_there(tmp_path: Path) -> None:
    (tmp_path / "_part.yaml").write_text("steps: [{name: far, type: shell, cmd: x, host: moon}]")
    (tmp_path / "x.yaml").write_text("steps:\n  - {name: a, use: _part.yaml}\n")
    recipe = load(tmp_path / "x.yaml", root=tmp_path)

    text = RecipeError(refusals(recipe.steps, THERE), recipe.id, recipe.text).render()

    assert (
        text
        == """\
x.yaml:2:5: '_part.yaml' has a step that cannot run

   1 | steps:
   2 |   - {name: a, use: _part.yaml}
     |     ^^^^^^^^^^^^^^^^^^^^^^^^^^
_part.yaml:1:48: step 'a.far' is to run on 'moon', and no worker has that name, host or resource \
(dask worker --name moon)

   1 | steps: [{name: far, type: shell, cmd: x, host: moon}]
     |                                                ^^^^"""
    )


def test_steps_that_run_on_pytests_machine_have_a_reason(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text(
        "defaults: {host: moon}\n"
        "steps:\n"
        "  - {name: away, type: python, module: m, function: f}\n"
        "  - {name: inside, type: python, module: m, function: f, isolation: inline}\n"
        "  - {name: with, type: python, module: m, function: f, fixtures: [bench]}\n"
        "  - {name: sh, type: shell, cmd: x, fixtures: [bench]}\n"
        "  - {name: far, type: ssh, cmd: x}\n"
        "  - {name: service, type: shell, cmd: x, background: true}\n"
        "  - {name: person, type: prompt, message: Look}\n"
    )
    recipe = load(tmp_path / "x.yaml", root=tmp_path)
    away = {step.name: placement.beside(step) for step in recipe.steps}

    assert away == {
        "away": "",
        "inside": "its isolation is inline",
        "with": "its fixture 'bench' is beside pytest",
        "sh": "",
        "far": "ssh steps are started beside pytest",
        "service": "services run beside pytest",
        "person": "it asks a person, and pytest's session asks",
    }
    assert placement.beside(recipe.step("away"), ["lab"]) == "its fixture 'lab' is beside pytest"
    assert [one.text for one in placement.misplaced(recipe.steps, elsewhere=True)] == [
        f"step '{name}' is to run on 'moon', and runs on '{HERE}': {why} (host: {HERE})"
        for name, why in away.items()
        if why and name != "far"
    ]


@pytest.fixture(scope="module")
def steps(tmp_path_factory: pytest.TempPathFactory) -> tuple[Step, ...]:
    """Load the steps of the property test once."""
    path = tmp_path_factory.mktemp("law") / "x.yaml"
    hosts = ["", ", host: a", ", host: c", ", host: scope", ", host: localhost"]
    wanted = ["", ", resources: {scope: 2}", ", resources: {scope: 1, gpu: 1, psu: 3}"]
    lines = [
        f"  - {{name: s{number}, type: shell, cmd: x{more}}}\n"
        for number, more in enumerate(one + other for one in hosts for other in wanted)
    ]
    path.write_text("steps:\n" + "".join(lines))
    return load(path, root=path.parent).steps


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(
        st.builds(
            Offer,
            st.uuids().map(str),
            st.sampled_from(["a", "b", "scope"]),
            st.sampled_from(["a", "c", HERE]),
            st.dictionaries(st.sampled_from(["scope", "gpu", "psu"]), st.integers(0, 3)),
        )
    ),
    st.sets(st.sampled_from(["scope", "gpu", "psu"])),
)
def test_a_step_is_refused_only_if_no_worker_can_run_it(
    steps: tuple[Step, ...], there: list[Offer], counted: set[str]
) -> None:
    for step in steps:
        refused = refusals([step], there, counted)
        assert bool(refused) is not bool(workers_for(step, there, counted))


def test_the_reference_page_shows_the_messages(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "reference" / "steps.md").read_text(encoding="utf-8")
    section = page.partition("\n## Several machines\n")[2].partition("\n## ")[0]
    steps, message = re.findall(r"^```\w+\n(.*?)^```", section, re.DOTALL | re.MULTILINE)
    (tmp_path / "recipes").mkdir()
    (tmp_path / "recipes" / "soak.yaml").write_text(f"steps:\n{steps}")
    recipe = load(tmp_path / "recipes" / "soak.yaml", root=tmp_path)

    problems = refusals(recipe.steps, [Offer("tcp://10.0.0.1:1", "bench-2", "lab-a", {})])

    assert f"{RecipeError(problems, recipe.id, recipe.text)}\n".startswith(message)
