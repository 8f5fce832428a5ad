"""The leftover processes of a step are named in one line, even if they are many."""

from pytest_orchestrator.core.result import named


def test_up_to_five_leftovers_are_all_named() -> None:
    assert named(["sleep (pid 7)"]) == "sleep (pid 7)"
    assert named([f"p{n}" for n in range(5)]) == "p0, p1, p2, p3, p4"


def test_five_of_many_leftovers_are_named_and_the_others_counted() -> None:
    assert named([f"p{n}" for n in range(200)]) == "p0, p1, p2, p3, p4 and 195 more"
