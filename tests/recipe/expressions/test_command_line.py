"""Command lines with expressions: a value is one word in any quotes, and never code."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pytest_orchestrator.core.location import Place
from pytest_orchestrator.recipe.expressions import command_line
from pytest_orchestrator.recipe.expressions.expression import ExpressionError, Template, template
from tests.growth import TIMES, is_linear

if TYPE_CHECKING:
    from collections.abc import Callable

PLACE = Place(1, 1)
VALUE = "${{ x }}"
NASTY = [
    *("$(touch hacked)", "`touch hacked`", "; touch hacked", "& touch hacked", "\n touch hacked\n"),
    *("'", '"', "\\", "\\\\", "$x", "${x}", "$((1", "*", "?", "[a]", "~", "#", " # ", "a  b", "\t"),
    *("\nE\n", "E", "\r\n", "!", "{a,b}", "é😀", "-n", "%s", "x=1", "|", "<<E", "esac", ")", "}"),
]
VALUES = st.lists(
    st.sampled_from(NASTY) | st.text(st.characters(codec="utf-8", exclude_characters="\0")),
    max_size=4,
).map(lambda parts: "".join(parts) + ".")  # $( ) removes newlines at the end of its output
INNERMOST = st.sampled_from(
    [
        f"printf %s {VALUE}",
        f'printf %s "{VALUE}"',
        f'x={VALUE}; printf %s "$x"',
        f'printf %s "${{nope:-{VALUE}}}"',
        f"printf %s ${{nope:-{VALUE}}}",
        f"cat <<E | head -c -1\n{VALUE}\nE\n",
        f"cat <<-'F' >/dev/null; cat <<E | head -c -1\nit's\n\tF\n{VALUE}\nE\n",
    ]
)
AROUND = [
    'printf %s "$( {})"',
    'printf %s "$( ( {}) )"',
    'x="$( {}\n)"; printf %s "$x"',
    "( {} )",
    "{{ {}\n}}",
    "if true; then {}\nfi",
    "case a in (b) ;; a) {}\n;; esac",
    'printf %s "$(case a in a) {}\n;; esac)"',
    ": 'it' \"don't\" \\' # don't \"\n{}",
    "true && {}",
    "( {}\n) | cat",
]


def read(text: str) -> Template:
    found = template(text, PLACE)
    assert isinstance(found, Template)
    return found


def printed(text: str, value: str, folder: Path) -> str:
    """Return the output of a command line for a value of its expression."""
    found = read(text)
    assert command_line.problem(found, text) is None
    line, variables = command_line.line(found, {"x": value})
    ran = subprocess.run(
        ["/bin/sh", "-c", line],
        env={"PATH": os.environ["PATH"]} | variables,
        cwd=folder,
        capture_output=True,
        check=True,
    )
    return ran.stdout.decode()


@settings(deadline=None, max_examples=150)
@given(VALUES, INNERMOST, st.lists(st.sampled_from(AROUND), max_size=3))
@example("$(touch hacked).", f"printf %s {VALUE}", AROUND[:2])
def test_a_program_receives_the_value_unchanged_in_any_quotes(
    tmp_path_factory: pytest.TempPathFactory, value: str, inner: str, around: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("sh")
    line = inner
    for each in around:
        line = each.format(line)

    assert printed(line, value, folder) == value
    assert list(folder.iterdir()) == []


@settings(deadline=None, max_examples=25)
@given(VALUES)
def test_a_program_receives_the_value_unchanged_in_backquotes(value: str) -> None:
    line = f'printf %s "`printf %s {VALUE}`"`: {VALUE}`'
    assert printed(line, value, Path()) == value


@settings(deadline=None)
@given(VALUES, VALUES)
def test_a_value_is_a_word_or_a_part_of_one_without_a_shell(one: str, other: str) -> None:
    text = " prog  ${{ x }} a${{ x }}${{ y }}b\tc "
    found = command_line.words(read(text), {"x": one, "y": other})

    assert found == ("prog", one, f"a{one}{other}b", "c")


@pytest.mark.parametrize(
    ("value", "word"),
    [([1, {"a": None}], '[1,{"a":null}]'), (1.5, "1.5"), (True, "true"), (None, "null"), ("", "")],
)
def test_a_value_that_is_no_text_becomes_a_word_of_json(value: Any, word: str) -> None:
    assert command_line.words(read("prog ${{ x }}"), {"x": value}) == ("prog", word)
    assert command_line.line(read("prog ${{ x }}"), {"x": value})[1] == {"RECIPE_VALUE_1": word}


@pytest.mark.parametrize(
    ("size", "fits"), [(128 * 1024 - 64, True), (128 * 1024, False), (10**6, False)]
)
@pytest.mark.parametrize("take", [command_line.line, command_line.words, command_line.word])
def test_a_value_that_is_too_long_for_a_word_is_an_error(size: int, fits: bool, take: Any) -> None:
    names = {"x": "é" * (size // 2)}
    if fits:
        take(read("p ${{ x }}"), names)
        return
    with pytest.raises(ExpressionError) as caught:
        take(read("p ${{ x }}"), names)

    message = (
        f"`x`: a value of {size:,} bytes in a command line; 128 KiB are the most: hand it over"
    )
    assert str(caught.value) == f"{message} by stdin"


def test_a_value_with_a_nul_is_an_error() -> None:
    with pytest.raises(ExpressionError, match="a value with a NUL in it"):
        command_line.line(read("p ${{ x }}"), {"x": "a\0b"})


OTHER_SHELL = (
    " is within code for another shell: hand it over as an argument, "
    "as in: sh -c 'echo \"$1\"' sh ${{ … }}"
)


@pytest.mark.parametrize(
    ("cmd", "message"),
    [
        (
            "echo 'a ${{ vars.x }}'",
            (
                " is within single quotes, where the shell replaces nothing: "
                'use double quotes: "${{ vars.x }}"'
            ),
        ),
        (
            "cat <<'E'\n${{ vars.x }}\nE",
            (
                " is within a quoted here-document, where the shell replaces nothing: "
                "leave the quotes of its word out"
            ),
        ),
        (
            "echo $((${{ vars.x }} + 1))",
            (
                " is within $(( )), which would read its value as code: "
                "let it do the sum: ${{ vars.x }}"
            ),
        ),
        (
            r"echo \${{ vars.x }}",
            (" is behind a backslash: leave that out; the text itself is written $${{ vars.x }}"),
        ),
        ('sh -c "echo ${{ vars.x }}"', OTHER_SHELL),
        ('cd a && /bin/bash -e -xc "echo ${{ vars.x }}" | cat', OTHER_SHELL),
        ("bash -c ${{ vars.x }}", OTHER_SHELL),
        ("eval echo ${{ vars.x }}", OTHER_SHELL),
        (["bash", "-ec", "echo ${{ vars.x }}"], OTHER_SHELL),
    ],
)
def test_a_value_that_the_shell_would_read_as_code_or_not_expand_is_a_load_error(
    problems: Callable[[str], list[str]], cmd: Any, message: str
) -> None:
    import json

    found = problems(
        f"vars: {{x: 1}}\nsteps:\n  - name: a\n    type: shell\n    cmd: {json.dumps(cmd)}\n"
    )

    assert [one.partition(" ")[2] for one in found] == [f"an expression in shell step 'a'{message}"]


@pytest.mark.parametrize(
    "cmd",
    [
        "sh -c 'echo \"$1\"' sh ${{ x }}",
        'sh -e script.sh "${{ x }}"',
        "echo -c ${{ x }}",
        'push -c "${{ x }}"',
        "evaluate ${{ x }}",
        "eval a; echo ${{ x }}",
        "${{ x }} --version",
    ],
)
def test_text_that_only_looks_like_code_is_accepted(cmd: str) -> None:
    assert command_line.problem(read(cmd), cmd) is None


@pytest.mark.parametrize(
    ("line", "needs"),
    [
        ("scripts/measure.sh --fast x,y:z@1", False),
        ("a | b", True),
        ("a $x", True),
        ("X=1 a", True),
        ("ls *.csv", True),
        ("cd x", True),
        ("a\nb", True),
        ("", False),
    ],
)
def test_a_line_without_syntax_needs_no_shell(line: str, needs: bool) -> None:
    assert command_line.needs_shell(line) is needs


AS_ARGUMENT = "hand it over as an argument, as in: sh -c 'echo \"$1\"' sh ${{ … }}"


@pytest.mark.unmeasured
@pytest.mark.parametrize(
    ("again", "message"),
    [
        ("eval a ", f" is within code for another shell: {AS_ARGUMENT}"),
        ("eval a ;", None),
        ("sh -a -a -c a ", None),
        ("/a", None),
    ],
)
def test_a_long_command_line_is_searched_for_code_in_linear_time(
    again: str, message: str | None
) -> None:
    def problem(line: str) -> str | None:
        found = template(line, Place(1, 1))
        assert isinstance(found, Template)
        return command_line.problem(found, line)

    small, large = (again * number + " ${{ vars.x }}" * 20 for number in (500, 500 * TIMES))
    assert problem(large) == message
    assert is_linear(problem, small, large)
