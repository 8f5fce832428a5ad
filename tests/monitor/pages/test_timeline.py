"""Timeline tab."""

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pytest_orchestrator.core.events import AttemptFailed, StepStarted
from tests.monitor.pages.opened import opened
from tests.runs.built import Built, Runs


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> tuple[Callable[[str], str], str]:
    """Return a client and the URL of the timeline of a run with two recipes, one of them failed."""
    base = tmp_path_factory.mktemp("two")
    built = Built(base, "20261125T101502Z-7f3a", "recipes/a.yaml", cell="gain:1")
    built.begin("flash", "measure").step("flash").step("measure", "failed", seconds=0.5)
    built.recipe, built.about = "recipes/b.yaml", {"name": "other", "path": "recipes/b.yaml"}
    built.begin("only").step("only")
    return opened(base), f"/run/{built.cut().name}/timeline"


def test_timeline_of_a_run_has_a_row_for_each_recipe(
    two: tuple[Callable[[str], str], str],
) -> None:
    get, url = two
    page = get(url)

    rows = re.findall(r'<span>([^<]*)<span class="unseen">, ([a-z]*)</span>', page)
    assert rows == [("psu [gain:1]", "failed"), ("other", "passed")]
    assert f'href="{url}?recipe=recipes/b.yaml"' in page
    assert 'aria-label="measure failed">✘</a>' in page


def test_timeline_of_a_recipe_has_a_row_for_each_step_that_ran(
    two: tuple[Callable[[str], str], str],
) -> None:
    get, url = two
    page = get(f"{url}?recipe=recipes/a.yaml")

    assert re.findall('<span>([^<]*)<span class="unseen">', page) == ["flash", "measure"]
    assert f'href="{url}">Timeline of all 2 recipes</a>' in page
    assert 'class="span k-running failed"' in page
    assert f'href="{url}?recipe=recipes/a.yaml&amp;step=recipes/a.yaml::flash"' in page
    assert "psu [gain:1]" in get(f"{url}?step=recipes/a.yaml::flash")


def test_bars_of_a_live_run_grow(tmp_path: Path) -> None:
    built = Built(
        tmp_path / "runs", "20261126T000000Z-0003", start=time.time_ns() // 1000 - 9_000_000
    )
    built.begin("flash", "measure").step("flash")
    step: dict[str, Any] = {"recipe": built.recipe, "step": "measure"}
    built.add(StepStarted(**step))
    built.add(AttemptFailed(**step, attempt=1, kind="exit_code", reason="no"))
    built.add(StepStarted(**step, attempt=2))
    page = opened(built.folder.parent)(f"/run/{built.folder.name}/timeline")

    kinds = re.findall(r'class="span k-(\w+) running"\s+style="--a:[\d.]+;--b:([^"]*)"', page)
    assert [kind for kind, _ in kinds] == ["failed", "retrying", "running"]
    assert "max(" in kinds[2][1]
    assert "max(" not in kinds[1][1]
    assert float(re.findall('data-now="([^"]*)"', page)[0]) > 0
    assert "</i> running</span>" in page


def test_timeline_of_many_steps_has_pages(tmp_path: Path) -> None:
    names = [f"s{number:03d}" for number in range(600)]
    built = Runs(tmp_path).new().begin(*names)
    for name in names:
        built.finish(name, "failed" if name == "s550" else "passed")
    run = built.cut()
    get, url = opened(run.parent), f"/run/{run.name}/timeline"

    assert "Showing steps 1 to 500 of the 600 that ran" in get(url)
    assert f'<a href="{url}?page=2">Go to s550</a>' in get(url)
    assert "s599" in get(f"{url}?page=2")


def test_timeline_without_a_step_says_so(tmp_path: Path) -> None:
    run = Runs(tmp_path).new().begin("flash").cut()

    assert "No step has started yet." in opened(run.parent)(f"/run/{run.name}/timeline")
