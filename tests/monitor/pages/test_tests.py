"""Tests tab: tests that are no steps, and files that cannot be read."""

from pathlib import Path
from typing import Any

from pytest_orchestrator.core.events import CollectionFailed, TestReported
from tests.runs.built import Built

RUN = "20261127T000000Z-0004"


def test_other_tests_are_listed_with_their_failure_texts(bench: Path, client: Any) -> None:
    built = Built(bench, RUN).begin("flash").step("flash")
    built.add(TestReported(node="test_x.py::test_good", outcome="passed", seconds=2.0))
    bad, why = "test_x.py::test_bad", "assert 1 == 2"
    built.add(TestReported(node=bad, outcome="failed", reason=why, text="E  <assert>"))
    built.add(CollectionFailed(path="bad.yaml", text="bad.yaml:1:1: wrong", line=1, column=1))
    built.seal(1)
    page = client.get(f"/run/{RUN}/tests").text

    assert page.index("test_x.py::test_bad") < page.index("test_x.py::test_good")
    assert "<summary>assert 1 == 2</summary>" in page
    assert "E  &lt;assert&gt;" in page
    assert "bad.yaml cannot be read" in page
    assert "psu.yaml::flash<" not in page.partition('<main id="content"')[2]
    assert "test_good" not in client.get(f"/run/{RUN}/tests?q=BAD").text
    assert "test_bad" not in client.get(f"/run/{RUN}/tests?state=passed").text
    assert "No test matches." in client.get(f"/run/{RUN}/tests?q=none").text


def test_a_run_of_recipes_alone_says_that_it_has_no_other_tests(client: Any) -> None:
    page = client.get("/run/latest/tests", follow_redirects=True).text

    assert "This run has no pytest tests besides its steps." in page
