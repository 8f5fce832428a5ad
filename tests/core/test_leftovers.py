"""What a step left running is told in one line, however much it is."""

from pytest_orchestrator.core.result import named


def test_a_few_are_all_named() -> None:
    assert named(["sleep (pid 7)"]) == "sleep (pid 7)"
    assert named([f"p{n}" for n in range(5)]) == "p0, p1, p2, p3, p4"


def test_of_many_the_first_are_named_and_the_others_counted() -> None:
    assert named([f"p{n}" for n in range(200)]) == "p0, p1, p2, p3, p4 and 195 more"
