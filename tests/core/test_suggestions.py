"""`nearest` suggests the most similar name, or nothing."""

from pytest_orchestrator.core.suggestions import nearest


def test_the_nearest_name_is_suggested() -> None:
    assert nearest("modul", ["name", "module", "model"]) == " (did you mean 'module'?)"


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
