"""The hint names what is near, and nothing where nothing is."""

from pytest_orchestrator.core.suggestions import nearest


def test_the_nearest_name_is_told() -> None:
    assert nearest("modul", ["name", "module", "model"]) == " (did you mean 'module'?)"


def test_nothing_near_is_nothing_told() -> None:
    assert nearest("x", ["module"]) == ""
    assert nearest("x", []) == ""


def test_the_cutoff_says_how_near() -> None:
    assert nearest("abc", ["abd"], cutoff=0.9) == ""
    assert nearest("abc", ["xbx"], cutoff=0.0) == " (did you mean 'xbx'?)"


def test_a_giant_word_among_many_is_answered() -> None:
    looked_at = (f"k{number}" for number in range(1_000_000))

    assert nearest("k" * 1_000_000, looked_at) == ""
    assert next(looked_at) == "k5000"
