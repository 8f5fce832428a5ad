"""Hints for unknown names, and the files of a project that are searched for them."""

from pathlib import Path

from pytest_orchestrator.core.suggestions import files_below, nearest, project_files, there_is


def test_the_nearest_name_is_suggested() -> None:
    assert nearest("modul", ["name", "module", "model"]) == " (did you mean 'module'?)"


def test_a_name_in_capitals_means_that_in_small_letters() -> None:
    assert nearest("SN", ["x", "sn"]) == " (did you mean 'sn'?)"


def test_no_suggestion_is_made_if_no_name_is_similar() -> None:
    assert nearest("x", ["module"]) == ""
    assert nearest("x", []) == ""


def test_the_cutoff_is_the_minimum_similarity() -> None:
    assert nearest("abc", ["abd"], cutoff=0.9) == ""
    assert nearest("abc", ["xbx"], cutoff=0.0) == " (did you mean 'xbx'?)"


def test_a_very_long_name_is_compared_with_a_bounded_number_of_names() -> None:
    names = (f"k{number}" for number in range(1_000_000))

    assert nearest("k" * 1_000_000, names) == ""
    assert next(names) == "k5000"


def test_a_list_of_valid_names_is_a_finished_sentence() -> None:
    assert there_is([]) == "; there is none"
    assert there_is(["a"]) == "; there is only 'a'"
    assert there_is(["a", "b"]) == "; there is a, b"
    assert there_is(["a", "b", "c", "d"], most=2) == "; there is a, b and 2 more"


def test_files_of_environments_and_build_folders_are_no_files_of_the_project(
    tmp_path: Path,
) -> None:
    for name in ("b/own.py", "a.py", "env/pyvenv.cfg", "env/bin/their.py", ".git/hook.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).touch()
    for folder in ("build", "site-packages", "b/node_modules", "CVS"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "their.py").touch()

    own = [tmp_path / "a.py", tmp_path / "b/own.py"]
    assert [*files_below(tmp_path)] == own
    assert [*project_files(tmp_path, ".py")] == own
