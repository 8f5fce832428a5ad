"""Checks of nodes: keys, tags, aliases, and limits."""

from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_orchestrator.core.location import Place
from pytest_orchestrator.recipe import PythonStep, Recipe, RecipeError, load

Problems = Callable[[str | bytes], list[str]]
Read = Callable[[str | bytes], Recipe]

STEPS = "steps: [{name: a, type: python, module: m, function: f, params: *p}]\n"


def params(recipe: Recipe, name: str = "a") -> object:
    step = recipe.step(name)
    assert isinstance(step, PythonStep)
    return step.params


def test_a_key_that_is_given_twice_names_both_lines(problems: Problems) -> None:
    assert problems('x-p: &p {a: 1,\n  b: 2,\n  "a": 3}\n' + STEPS) == [
        "3:3 the key 'a' is given twice, in lines 1 and 3"
    ]


def test_all_duplicate_keys_are_reported_together(problems: Problems) -> None:
    text = (
        "name: x\n"
        "name: y\n"
        "x-p: &p [[{a: 1, a: 2}]]\n"
        "steps:\n"
        "  - name: a\n"
        "    type: shell\n"
        "    cmd: x\n"
        "    cmd: y\n"
    )
    assert problems(text) == [
        "2:1 the key 'name' is given twice, in lines 1 and 2",
        "3:18 the key 'a' is given twice, in line 3",
        "8:5 the key 'cmd' is given twice, in lines 7 and 8",
    ]


@pytest.mark.parametrize("key", ["1", "true", "~", ".inf"])
def test_a_key_that_is_no_text_is_reported(key: str, problems: Problems) -> None:
    assert problems(f"x-p: &p {{{key}: x}}\n" + STEPS) == [
        f"1:10 a key is text, not a number, true, false or null (quote it: '{key}')"
    ]


def test_a_tag_that_makes_a_key_no_text_is_reported(problems: Problems) -> None:
    assert problems("x-p: &p {!!int 1: x}\n" + STEPS) == [
        "1:10 a key is text, not a number, true, false or null (quote it: '1')"
    ]


@pytest.mark.parametrize("key", ["[a]", "{a: b}", "? [a, b]\n "])
def test_a_list_or_mapping_as_a_key_is_reported(key: str, problems: Problems) -> None:
    assert [
        problem.partition(" ")[2] for problem in problems(f"x-p: &p {{{key}: x}}\n" + STEPS)
    ] == ["a key is text, not a list or a mapping"]


def test_a_key_with_a_refused_tag_is_reported(problems: Problems) -> None:
    assert problems("x-p: &p {!x a: b}\n" + STEPS) == [
        "1:10 the tag !x is not supported here (leave it out)"
    ]


def test_quotes_make_a_key_text(read: Read) -> None:
    assert params(read("x-p: &p {'1': a, !!str 2: b, no: c}\n" + STEPS)) == {
        "1": "a",
        "2": "b",
        "no": "c",
    }


@pytest.mark.parametrize(
    ("value", "tag"),
    [
        ("!!binary aGk=", "!!binary"),
        ("!!python/object/apply:os.system [ls]", "!!python/object/apply:os.system"),
        ("!thing {a: 1}", "!thing"),
        ("!!set {a}", "!!set"),
        ("!!map [a]", "!!map"),
        ("!!seq {a: b}", "!!seq"),
        ("!!str [a]", "!!str"),
        ("!!timestamp 2024-01-01", "!!timestamp"),
    ],
)
def test_tags_beyond_json_are_refused_once(value: str, tag: str, problems: Problems) -> None:
    assert problems(f"x-q: &p {value}\n" + STEPS) == [
        f"1:6 the tag {tag} is not supported here (leave it out)"
    ]


def test_a_value_with_a_refused_tag_is_reported_once(problems: Problems) -> None:
    text = "name: !x a\ntest_meta: {b: !y 1}\ntags: !z {}\nfixtures: !f [1]\nsteps: !s {}\n"
    assert problems(text) == [
        "1:7 the tag !x is not supported here (leave it out)",
        "2:16 the tag !y is not supported here (leave it out)",
        "3:7 the tag !z is not supported here (leave it out)",
        "4:11 the tag !f is not supported here (leave it out)",
        "4:15 'fixtures[0]' is a number, should be text (quote it: '1')",
        "5:8 the tag !s is not supported here (leave it out)",
    ]


def test_a_refused_tag_does_not_hide_problems_below_it(problems: Problems) -> None:
    assert problems("!x {steps: []}") == [
        "1:1 the tag !x is not supported here (leave it out)",
        "1:12 'steps' has no step in it",
    ]


def test_the_tags_of_json_types_are_accepted(read: Read) -> None:
    text = "x-p: &p {a: !!str 1, b: !!int '2', c: !!float 3, d: !!seq [!!null ], e: !!map {}}\n"
    assert params(read(text + STEPS)) == {"a": "1", "b": 2, "c": 3.0, "d": [None], "e": {}}


def test_an_alias_becomes_a_copy(read: Read) -> None:
    recipe = read(
        "x-p: &p {list: [1]}\n"
        "steps:\n"
        "  - {name: a, type: python, module: m, function: f, params: *p}\n"
        "  - {name: b, type: python, module: m, function: f, params: {one: *p, two: *p}}\n"
    )
    first, second = params(recipe), params(recipe, "b")
    assert isinstance(first, dict)
    assert isinstance(second, dict)
    first["list"].append(2)
    second["one"]["list"].append(3)
    assert second == {"one": {"list": [1, 3]}, "two": {"list": [1]}}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x-p: &p [1, *p]\n", "1:6 an alias within its own anchor has no end"),
        ("x-p: &p {a: {b: [*p]}}\n", "1:6 an alias within its own anchor has no end"),
        ("x-p: &p {<<: *p}\n", "1:6 an alias within its own anchor has no end"),
        (
            "&p x-p: &q [*p]\nx-q: *q\nx-r: &r\n  *p : *r\n",
            "3:6 an alias within its own anchor has no end",
        ),
    ],
)
def test_an_alias_within_its_anchor_is_refused(text: str, message: str, problems: Problems) -> None:
    assert problems(text) == [message]


def test_an_alias_bomb_is_refused_before_it_is_built(problems: Problems) -> None:
    text = "x-0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol, lol]\n" + "".join(
        f"x-{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 90)
    )
    assert problems(text) == ["6:6 the file has more than 250,000 nodes, aliases followed"]


@pytest.mark.unmeasured
def test_a_bomb_of_merges_is_refused_at_once(problems: Problems) -> None:
    wide = "x-0: &a {" + ", ".join(f"k{n}: v" for n in range(10_000)) + "}\n"
    text = wide + "x-1:\n" + "  - <<: *a\n" * 50_000
    assert problems(text) == ["3:3 the file has more than 250,000 nodes, aliases followed"]


def test_text_behind_an_alias_counts_each_time(read: Read, problems: Problems) -> None:
    # 104 x 160,000 of x-a, then the keys and values of the step and both other keys.
    head = f"x-a: [&t {'x' * 160_000}{', *t' * 103}]\n"
    step = "steps: [{name: a, type: shell, cmd: ls}]\n"
    rest = 16 * 2**20 - 104 * 160_000 - len("x-ax-bstepsnameatypeshellcmdls")

    assert read(f"{head}x-b: {'y' * rest}\n{step}").steps
    message = "the file has more than 16,777,216 characters of text, aliases followed"
    assert problems(f"{head}x-b: {'y' * (rest + 1)}\n{step}") == [f"1:1 {message}"]
    assert problems(f"x-a: [&t {'x' * 900_000}{', *t' * 1_000}]\n{step}") == [f"1:6 {message}"]


def test_a_larger_file_may_have_more_text_behind_aliases(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    step = "steps: [{name: a, type: shell, cmd: ls}]\n"
    path.write_text(f"x-a: [&t {'x' * 10_000}{', *t' * 20}]\n{step}")
    assert load(path, root=tmp_path, max_bytes=20_000).steps
    with pytest.raises(RecipeError) as caught:
        load(path, root=tmp_path, max_bytes=11_000)
    (found,) = caught.value.problems
    assert found.text == "the file has more than 176,000 characters of text, aliases followed"


def test_the_limit_counts_each_alias_and_each_key(read: Read, problems: Problems) -> None:
    # The root, its 4 keys, 8 nodes of steps, then 10 x 24,001 of x-0 and x-1, and 1 of x-1.
    head = (
        f"x-0: &a [{'1,' * 24_000}]\nx-1: [{'*a, ' * 9}]\n"
        "steps: [{name: a, type: shell, cmd: ls}]\n"
    )
    rest = 250_000 - (1 + 4 + 8 + 10 * 24_001 + 1) - 1
    assert read(head + f"x-2: [{'1,' * rest}]\n").steps
    assert problems(head + f"x-2: [{'1,' * (rest + 1)}]\n") == [
        "1:1 the file has more than 250,000 nodes, aliases followed"
    ]


def test_aliases_nest_no_deeper_than_text(problems: Problems) -> None:
    text = "x-0: &a0 []\n" + "".join(f"x-{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 700))
    assert problems(text) == ["101:8 more than 100 levels of nesting, aliases followed"]


def test_merge_keys_add_only_missing_keys(read: Read) -> None:
    text = (
        "x-a: &a {one: a, two: a, three: a, four: [a]}\n"
        "x-b: &b {two: b, three: b}\n"
        "x-p: &p {three: p, <<: [*b, *a]}\n"
    )
    assert params(read(text + STEPS)) == {"three": "p", "two": "b", "one": "a", "four": ["a"]}


def test_steps_share_keys_by_merge_keys(read: Read) -> None:
    recipe = read(
        "x-shell: &shell\n"
        "  type: shell\n"
        "  timeout: 5s\n"
        "steps:\n"
        "  - <<: *shell\n"
        "    name: a\n"
        "    cmd: ls\n"
        "  - {<<: *shell, name: b, cmd: ls, timeout: 1}\n"
    )
    assert [(step.type, step.timeout, step.line) for step in recipe.steps] == [
        ("shell", 5.0, 5),
        ("shell", 1.0, 8),
    ]
    assert recipe.step("a").at["timeout"] == Place(3, 12, 2)


@pytest.mark.parametrize("value", ["x", "[{a: b}, x]", "[[{a: b}]]"])
def test_a_merge_key_accepts_only_mappings(value: str, problems: Problems) -> None:
    assert problems(f"x-p: &p {{<<: {value}}}\n" + STEPS) == [
        "1:14 '<<' merges a mapping or a list of mappings"
    ]


def test_a_second_merge_key_is_a_duplicate_key(problems: Problems) -> None:
    assert problems("x-a: &a {b: c}\nx-p: &p {<<: *a, <<: *a}\n" + STEPS) == [
        "2:18 the key '<<' is given twice, in line 2"
    ]


def test_a_quoted_merge_key_is_an_ordinary_key(read: Read) -> None:
    assert params(read("x-p: &p {'<<': {a: b}}\n" + STEPS)) == {"<<": {"a": "b"}}


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("name: abc  # d\n", 3),
        ("name: 'a  b'\n", 6),
        ("name: |\n  a\n  b\n", 1),
        ("name: |+  # c\n  a\n", 2),
        ("name: two\n  lines\n", 3),
        ("name: 'two\n  lines'\n", 4),
        ("test_meta: {a: b}\n", 6),
        ("test_meta: {a: b,\n  c: d}\n", 1),
        ("test_meta:\n  a key: b\n  c: d\n", 5),
        ("tags: [a, b]\n", 6),
        ("tags: [a,\n  b]\n", 1),
        ("tags:\n  - a\n  - b\n", 1),
        ("name: äö😀\n", 3),
        ("test_meta:\r\n  # é\r\n  a key: b\r\n  c: d\r\n", 5),
        ("name: " + "a" * 100 + "\n  b\n", 80),
    ],
)
def test_carets_mark_a_value_or_its_first_word(text: str, length: int, read: Read) -> None:
    recipe = read(text + "steps: [{name: a, type: shell, cmd: ls}]\n")
    assert next(iter(recipe.at.values())).length == length


def test_a_caret_marks_where_a_value_is_missing(read: Read) -> None:
    with pytest.raises(RecipeError) as caught:
        read("name:\ntags:  # none\n" + STEPS.replace("*p", "{}"))
    assert [problem.place for problem in caught.value.problems] == [Place(1, 6), Place(2, 6)]


@pytest.mark.parametrize(
    ("text", "cure"),
    [
        ("{low: 3,2}", "a comma ends the number before it: write 3.2"),
        ("{low: 3,2: 1}", "quote it: '2'"),
        ("{low: x,2}", "quote it: '2'"),
        ("{2}", "quote it: '2'"),
    ],
)
def test_a_decimal_comma_gets_the_number_to_write(text: str, cure: str, problems: Problems) -> None:
    (said,) = [one for one in problems(f"x-a: {text}\nsteps: []\n") if "a key is text" in one]
    assert said.endswith(f"a key is text, not a number, true, false or null ({cure})")


def test_a_second_name_in_a_step_is_one_problem(problems: Problems) -> None:
    step = "- name: a\n  type: shell\n  cmd: x\n"
    said = "5:3 the key 'name' is given twice, in lines 2 and 5 (a new step begins with '- ')"
    assert problems(f"steps:\n{step}{step.replace('-', ' ')}"[:-1]) == [said]
