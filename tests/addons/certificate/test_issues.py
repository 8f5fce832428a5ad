"""Numbers of the certificates of a run."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from pytest_orchestrator.addons.certificate.issues import issued


def test_each_issue_has_the_next_number_and_replaces_the_last_one_of_its_recipe(
    tmp_path: Path,
) -> None:
    made = [issued(tmp_path, [recipe])[0] for recipe in ("a", "b", "a", "a", "b")]

    assert [(one.number, one.replaces) for one in made] == [(1, 0), (2, 0), (3, 1), (4, 3), (5, 2)]
    both = issued(tmp_path, ("a", "c", "b"))
    assert [(one.number, one.replaces) for one in both] == [(6, 4), (7, 0), (8, 5)]


def test_no_number_is_given_twice(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = [*pool.map(lambda _: issued(tmp_path, ["a"])[0].number, range(100))]

    assert sorted(made) == [*range(1, 101)]


def test_a_damaged_file_keeps_its_number_and_is_replaced_by_none(tmp_path: Path) -> None:
    issued(tmp_path, ["a"])
    (tmp_path / "certificates" / "1.json").write_bytes(b"\xff{")

    assert issued(tmp_path, ["a"])[0][:2] == (2, 0)
