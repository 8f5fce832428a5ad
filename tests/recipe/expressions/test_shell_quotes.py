"""Quoting contexts of positions in a command line."""

import pytest

from pytest_orchestrator.recipe.expressions.command_line import MARK, PLAIN, contexts
from tests.growth import TIMES, is_linear


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("@ '@' \"@\" @", "plain single double plain"),
        ('"it\'s @" @', "double plain"),
        ("'a\"b' @", "plain"),
        ('"$(echo @) @" @', "plain double plain"),
        ('"$( (a); echo @ ) @"', "plain double"),
        ('"$(case x in a) echo @;; (b) @;; esac; @) @"', "plain plain plain double"),
        ("case x in a) '@';; esac; @", "single plain"),
        ("$((@ + (1)) ) ) @", "arithmetic plain"),
        ("$((1<<2)) @\n@", "plain plain"),
        ('"$((@))@"', "arithmetic double"),
        ("`@` @", "plain plain"),
        ('"`@`@"', "plain double"),
        ("# don't @\n@ '@'", "plain plain single"),
        ("(a)# don't\n@", "plain"),
        ("a#'@'", "single"),
        ("${#x} $# '@'", "single"),
        ("cat <<E\n@'\n@E\nE\n@", "double double plain"),
        ("cat <<E\n E\n@\nE\n'@'", "double single"),
        ("cat <<-E\n\t@\n\tE\n@", "double plain"),
        ("cat <<'E'\n@\nE\n@", "literal plain"),
        ('cat <<"E"\n@\nE\n@', "literal plain"),
        ("cat <<\\E\n@\nE\n@", "literal plain"),
        ("cat <<A <<'B'; @\n@\nA\n@\nB\n@", "plain double literal plain"),
        ('cat <<E\n$(a @) "@\nE\n', "plain double"),
        ("a <<< @\n@", "plain plain"),
        ("\\@ \\\\@ \"\\@\" '\\@'", "escaped plain escaped single"),
        ('"${x:-@}" ${x:-@} "${x:-"@"}"', "double plain double"),
        ("x=$(a 'b)') '@'", "single"),
    ],
)
def test_each_mark_has_its_quoting_context(line: str, wanted: str) -> None:
    assert contexts(line.replace("@", MARK)) == wanted.split()


@pytest.mark.parametrize("line", ["'@", '"@', "$(@", "`@", "<<E\n@", "${@", "@)", "@}", "@ esac"])
def test_an_invalid_line_is_scanned_to_its_end(line: str) -> None:
    assert len(contexts(line.replace("@", MARK))) == 1


@pytest.mark.unmeasured
@pytest.mark.parametrize(
    ("begins", "nested", "again", "found"),
    [
        ("", "", "${", PLAIN),
        ("", "${", "`", PLAIN),
        ("", "", "(", PLAIN),
        ("", "", "case ", PLAIN),
        ('"', "", "$(case x in ", PLAIN),
        ("", "", "$((", "arithmetic"),
    ],
)
def test_a_long_line_is_scanned_in_linear_time(
    begins: str, nested: str, again: str, found: str
) -> None:
    small, large = (
        begins + nested * number + again * number + "x" * number + MARK
        for number in (500, 500 * TIMES)
    )
    assert contexts(large) == [found]
    assert is_linear(contexts, small, large)
