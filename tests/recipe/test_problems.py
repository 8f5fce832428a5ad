"""Problems of a recipe as a complete text and as a one-line summary."""

import pickle
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_orchestrator.core import suggestions
from pytest_orchestrator.core.location import Place
from pytest_orchestrator.recipe import Problem, Recipe, RecipeError, load, problems

TEXT = """\
version: 1
steps:
  - name: flash
    type: python
    modul: scriptlets.python.steps.flash
    class: Flash
  - name: thermal
    type: shell
    cmd: ./thermal.sh
  - name: release
    type: shell
    cmd: ./release.sh
    needs: [thermel, flash]
"""


@pytest.fixture
def error(read: Callable[[str], Recipe]) -> RecipeError:
    with pytest.raises(RecipeError) as caught:
        read(TEXT)
    return caught.value


def test_each_problem_is_shown_with_its_line_and_a_caret(error: RecipeError) -> None:
    assert str(error) == (
        "recipes/x.yaml:5:5: unknown key 'modul' in python step 'flash' "
        "(did you mean 'module'?)\n"
        "\n"
        "   3 |   - name: flash\n"
        "   4 |     type: python\n"
        "   5 |     modul: scriptlets.python.steps.flash\n"
        "     |     ^^^^^\n"
        "recipes/x.yaml:13:13: step 'release' needs 'thermel', which is no step of this recipe "
        "(did you mean 'thermal'?)\n"
        "\n"
        "  11 |     type: shell\n"
        "  12 |     cmd: ./release.sh\n"
        "  13 |     needs: [thermel, flash]\n"
        "     |             ^^^^^^^\n"
        "2 problems"
    )


def test_the_summary_is_the_first_problem_without_its_step(
    error: RecipeError,
) -> None:
    assert error.summary == "5:5 unknown key 'modul' (did you mean 'module'?), and 1 more"


def test_a_single_problem_has_no_count() -> None:
    error = RecipeError([Problem(Place(1, 2), "odd", " in x", " it is", "do")], "x.yaml", "ab\n")
    assert str(error) == "x.yaml:1:2: odd in x it is (do)\n\n   1 | ab\n     |  ^"
    assert error.summary == "1:2 odd it is (do)"


def test_problems_are_in_the_order_of_the_file() -> None:
    found = [Problem(Place(2, 1), "c"), Problem(Place(1, 9), "b"), Problem(Place(1, 2), "a")]
    assert [each.head for each in RecipeError(found, "x").problems] == ["a", "b", "c"]


def test_an_error_can_be_pickled(error: RecipeError) -> None:
    copy = pickle.loads(pickle.dumps(error))
    assert (str(copy), copy.summary, copy.slug) == (str(error), error.summary, "recipe")


def test_a_hundred_problems_are_shown_and_all_are_counted() -> None:
    found = [Problem(Place(line, 1), f"odd {line}") for line in range(1, 1201)]
    shown = RecipeError(found, "x.yaml", "a\n" * 1200).render().splitlines()
    assert [line for line in shown if line.startswith("x.yaml")][-1] == "x.yaml:100:1: odd 100"
    assert shown[-2:] == ["... and 1,100 more", "1,200 problems"]
    assert RecipeError(found[:100], "x.yaml", "").render().endswith("odd 100\n100 problems")


@pytest.mark.unmeasured
def test_hints_of_a_large_broken_file_compare_a_limited_number_of_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared = 0

    def counting(word: str, names: set[str]) -> str:
        nonlocal compared
        compared += len(names)
        return suggestions.nearest(word, names)

    monkeypatch.setattr(problems, "nearest", counting)
    path = tmp_path / "x.yaml"
    path.write_text(
        "steps:\n"
        + "".join(f"- {{name: s{n}, type: shell, cmd: x, needs: [ss{n}]}}\n" for n in range(3000))
    )
    with pytest.raises(RecipeError) as caught:
        load(path, root=tmp_path)
    assert len(caught.value.problems) == 3000
    assert caught.value.problems[0].hint.startswith("did you mean 's")
    assert caught.value.problems[-1].hint == ""
    assert 0 < compared <= 20_000


@pytest.mark.unmeasured
def test_reading_stops_after_ten_thousand_problems(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("steps:\n" + "- {}\n" * 20_000)
    with pytest.raises(RecipeError) as caught:
        load(path, root=tmp_path)
    assert len(caught.value.problems) == 10_000
    assert caught.value.render().endswith("\n10,000 problems")
