"""Names, `idx` and needs of steps, and the resulting order."""

from collections.abc import Callable

import pytest

from pytest_orchestrator.recipe import Recipe

Problems = Callable[[str | bytes], list[str]]
Read = Callable[[str | bytes], Recipe]


def steps(*items: str, final: tuple[str, ...] = ()) -> str:
    """Return a recipe with one line for each step; the first step is in line 2."""
    text = "steps:\n" + "".join(f"- {{type: shell, cmd: x, {item}}}\n" for item in items)
    if final:
        text += "finally:\n" + "".join(f"- {{type: shell, cmd: x, {item}}}\n" for item in final)
    return text


def order(recipe: Recipe) -> list[tuple[str, int, tuple[str, ...]]]:
    return [(step.name, step.index, step.needs) for step in recipe.steps + recipe.final]


def test_a_step_needs_the_one_before_it(read: Read) -> None:
    assert order(read(steps("name: a", "name: b", "name: c"))) == [
        ("a", 1, ()),
        ("b", 2, ("a",)),
        ("c", 3, ("b",)),
    ]


def test_needs_are_as_written(read: Read) -> None:
    text = steps("name: a", "name: b, needs: []", "name: c, needs: [a, b, a]", "name: d")
    assert order(read(text)) == [
        ("a", 1, ()),
        ("b", 2, ()),
        ("c", 3, ("a", "b")),
        ("d", 4, ("c",)),
    ]


def test_a_needed_step_runs_first_at_any_position(read: Read) -> None:
    text = steps("name: a, needs: [c]", "name: b, needs: []", "name: c, needs: []")
    assert order(read(text)) == [("b", 1, ()), ("c", 2, ()), ("a", 3, ("c",))]


def test_idx_defines_the_order(read: Read) -> None:
    text = steps("name: c, idx: 30", "name: a, idx: 0", "name: b, idx: 2")
    assert order(read(text)) == [("a", 1, ()), ("b", 2, ("a",)), ("c", 3, ("b",))]


def test_final_steps_need_nothing_by_default_and_run_last(read: Read) -> None:
    recipe = read(steps("name: a", final=("name: y, needs: [z]", "name: x", "name: z")))
    assert order(recipe) == [("a", 1, ()), ("x", 2, ()), ("z", 3, ()), ("y", 4, ("z",))]
    assert [step.is_final for step in recipe.steps + recipe.final] == [False, True, True, True]


def test_final_steps_have_an_idx_of_their_own(read: Read) -> None:
    text = steps("name: a, idx: 1", final=("name: y, idx: 2", "name: x, idx: 1"))
    assert [name for name, _, _ in order(read(text))] == ["a", "x", "y"]
    assert len(read(steps("name: a, idx: 1", final=("name: x",))).final) == 1


def test_a_step_with_after_needs_nothing_by_default(read: Read) -> None:
    recipe = read(steps("name: a", "name: b, after: [a]", "name: c, after: [a, a], needs: [b]"))
    assert order(recipe) == [("a", 1, ()), ("b", 2, ()), ("c", 3, ("b",))]
    assert [step.after for step in recipe.steps] == [(), ("a",), ("a",)]


def test_a_step_named_in_after_runs_first_at_any_position(read: Read) -> None:
    recipe = read(
        steps(
            "name: a, after: [c]",
            "name: b, needs: []",
            "name: c, needs: []",
            final=("name: y, after: [z]", "name: z"),
        )
    )
    assert [name for name, _, _ in order(recipe)] == ["b", "c", "a", "z", "y"]


@pytest.mark.parametrize(
    ("text", "messages"),
    [
        (
            steps("name: a, idx: 1", "name: b", "name: c, idx: 2"),
            ["3:3 missing 'idx' in step 'b' (all steps of a list have one, or none)"],
        ),
        (
            steps("name: a, idx: 1", "name: b, idx: 2", "name: c, idx: 1"),
            ["4:39 idx 1 is given twice, in lines 2 and 4"],
        ),
        (
            steps("name: a", "name: b", "name: a", final=("name: b",)),
            [
                "4:31 two steps are called 'a', in lines 2 and 4",
                "6:31 two steps are called 'b', in lines 3 and 6",
            ],
        ),
        (
            steps("name: thermal", "name: b, needs: [thermel, thermal]"),
            [
                (
                    "3:42 step 'b' needs 'thermel', which is no step of this recipe "
                    "(did you mean 'thermal'?)"
                )
            ],
        ),
        (
            steps("name: thermal, needs: [thermel]"),
            ["2:48 step 'thermal' needs 'thermel', which is no step of this recipe"],
        ),
        (steps("name: a, needs: [a]"), ["2:42 step 'a' needs itself"]),
        (
            steps("name: a, needs: [x]", final=("name: x",)),
            ["2:42 step 'a' needs 'x', which stands in 'finally' and runs after all steps"],
        ),
        (
            steps("name: a", final=("name: x, needs: [a]",)),
            [
                (
                    "4:42 step 'x' needs 'a', which does not stand in 'finally' "
                    "(steps of 'finally' need only each other: "
                    "they run whatever became of the rest)"
                )
            ],
        ),
        (
            steps("name: a, needs: [c]", "name: b, needs: [a]", "name: c, needs: [b]"),
            ["2:41 steps need each other in a circle: a -> c -> b -> a"],
        ),
        (
            steps("name: a, needs: [b]", "name: b"),
            [
                (
                    "2:41 steps need each other in a circle: a -> b -> a "
                    "('b' needs the step before it, 'a', unless it says needs: [])"
                )
            ],
        ),
        (
            steps("name: a, after: [b]", "name: b, needs: [a]"),
            ["2:41 steps wait for each other in a circle: a -> b -> a"],
        ),
        (
            steps("name: a, after: [c]", "name: b", "name: c"),
            [
                (
                    "2:41 steps wait for each other in a circle: a -> c -> b -> a "
                    "('c' needs the step before it, 'b', unless it says needs: [])"
                )
            ],
        ),
        (
            steps("name: thermal", "name: b, after: [thermel, b]", final=("name: x",)),
            [
                (
                    "3:42 step 'b' comes after 'thermel', which is no step of this recipe "
                    "(did you mean 'thermal'?)"
                ),
                "3:51 step 'b' comes after itself",
            ],
        ),
        (
            steps("name: a, after: [x]", final=("name: x, after: [a]",)),
            [
                "2:42 step 'a' comes after 'x', which stands in 'finally' and runs after all steps",
                (
                    "4:42 step 'x' comes after 'a', which does not stand in 'finally' "
                    "(steps of 'finally' come after all others anyway)"
                ),
            ],
        ),
        (
            steps(
                "name: a, needs: [b]",
                "name: b, needs: [a]",
                "name: c, needs: [d, a]",
                "name: d, needs: [c]",
                "name: e",
                final=("name: x, needs: [y]", "name: y, needs: [x]"),
            ),
            [
                "2:41 steps need each other in a circle: a -> b -> a",
                "4:41 steps need each other in a circle: c -> d -> c",
                "8:41 steps need each other in a circle: x -> y -> x",
            ],
        ),
    ],
)
def test_problems_between_steps_are_reported(
    text: str, messages: list[str], problems: Problems
) -> None:
    assert problems(text) == messages


def test_other_mistakes_do_not_hide_problems_between_steps(problems: Problems) -> None:
    text = steps("name: a b, foo: 1", "name: b, needs: [c, d]", "name: c, needs: [b]", "name: b")
    assert [one.partition(" (it may have ")[0] for one in problems(text)] == [
        (
            "2:31 'name' in shell step 'a b' is 'a b', "
            "should be letters, digits, _ and -, beginning with a letter or _"
        ),
        "2:36 unknown key 'foo' in shell step 'a b'",
        "3:41 steps need each other in a circle: b -> c -> b",
        "3:45 step 'b' needs 'd', which is no step of this recipe",
        "5:31 two steps are called 'b', in lines 3 and 5",
    ]


@pytest.mark.unmeasured
def test_a_long_circle_is_cut(problems: Problems) -> None:
    many = [f"name: step_{n}, needs: [step_{n + 1}]" for n in range(2000)]
    found = problems(steps(*many, "name: step_2000, needs: [step_0]"))
    assert len(found) == 1
    assert found[0].startswith("2:46 steps need each other in a circle: step_0 -> step_1 -> ")
    assert found[0].endswith(" -> step_1999 -> step_2000 -> step_0")
    assert len(found[0]) < 500
