"""A command line with expressions in it: no value is ever read as shell code.

Each expression becomes the reference to an environment variable that holds its value: one
word, or a part of the text that stands in double quotes around it.
"""

import re
from collections.abc import Mapping
from typing import Any, cast

from pytest_orchestrator.recipe.expressions import Expression, ExpressionError, Template, as_text
from pytest_orchestrator.recipe.shell_quotes import (
    ARITHMETIC,
    DOUBLE,
    ESCAPED,
    LITERAL,
    MARK,
    SINGLE,
    contexts,
)

_LARGEST = 128 * 1024 - 64
"""Bytes; Linux takes no longer variable."""

_PREFIX = "RECIPE_VALUE_"
_SHELL = r"(?:\S*/)?(?:ba|da|a|k|z)?sh"
_ENDS_AS_SHELL = re.compile(r"(?:^|[;&|(`/])(?:ba|da|a|k|z)?sh$")
_EVAL = re.compile(r"(?:^|[\s;&|(`])eval\s")
_NEAR = 4096
"""Characters before an expression among which another shell is looked for."""

_SYNTAX = re.compile(r"""[#;"*?\[\]&|<>(){}$`^~!\\'\n=%]""")
# Words that only a shell knows; a program of that name, if there is one, does not do the same.
_BUILTINS = frozenset(
    re.findall(
        r"\S+",
        """. : alias bg break case cd command continue do done elif else esac eval exec exit export
        fc fg fi for getopts hash if in jobs local read readonly return set shift then times trap
        type ulimit umask unalias unset until wait while""",
    )
)
_BUILTINS_AND_PROGRAMS = frozenset(
    re.findall(
        r"\S+",
        """[ : bind builtin caller compgen complete compopt declare dirs disown echo enable exit
        false function help history kill let logout mapfile popd printf pushd pwd readarray shopt
        source suspend test true typeset""",
    )
)

WHOLE = (
    "the whole command line is an expression that gives no list: write the program as text, "
    "with expressions for its arguments"
)
_OTHER_SHELL = (
    "an expression within code for another shell: hand it over as an argument, "
    "as in: sh -c 'echo \"$1\"' sh ${{ … }}"
)


_FOREIGN = (
    "an expression in a command line that {} runs, where its value would be read as code: "
    "hand it over by 'args', as an environment variable"
)


_CURES = {
    SINGLE: ("within single quotes, where the shell replaces nothing", 'use double quotes: "{}"'),
    LITERAL: (
        "within a quoted here-document, where the shell replaces nothing",
        "leave the quotes of its word out",
    ),
    ARITHMETIC: ("within $(( )), which would read its value as code", "let it do the sum: {}"),
    ESCAPED: ("behind a backslash", "leave that out; the text itself is written ${}"),
}


def problem(
    template: Template,
    command: str | tuple[str, ...],
    shell: str | tuple[str, ...] | None = None,
) -> str | None:
    """Say what is wrong with the expressions of a command; None where nothing is.

    Args:
        template: The command line, or a word of a list, with its path in the step.
        command: The line or the list as it is written.
        shell: The shell that is to run the line, where one is named.
    """
    if not isinstance(command, str):
        at = cast("int", template.path[1])
        is_code = at > 1 and re.fullmatch(r"-\w*c", command[at - 1])
        return _OTHER_SHELL if is_code and re.fullmatch(_SHELL, command[0]) else None
    if isinstance(shell, tuple) or shell == "python":
        return _FOREIGN.format(shell if isinstance(shell, str) else shell[0])
    line = marked(template)
    ends = [at for at, char in enumerate(line) if char == MARK]
    for piece, context, end in zip(template.expressions, contexts(line), ends, strict=True):
        if context in _CURES:
            where, cure = _CURES[context]
            written = f"${{{{ {piece.text} }}}}"
            return f"an expression {where}: {cure.format(written)}"
        if _is_code(line, end):
            return _OTHER_SHELL
    return None


def _is_code(line: str, end: int) -> bool:
    """Tell whether a place stands in what `eval` or another shell reads; each part once."""
    begin = max(0, *(line.rfind(char, 0, end) for char in ";&|\n"))
    if _EVAL.search(line, begin, end):
        return True
    near = line[max(0, end - _NEAR) : end]
    ends = [near.rfind(char) for char in " \t\n\"'"]
    return any(_follows_shell(near[:at]) for at in (max(ends) + 1, near.rfind('"')) if at > 0)


def _follows_shell(before: str) -> bool:
    """Tell whether a text ends with a shell, its options and the one for code, as `sh -c `."""
    *words, last = before.split() or [""]
    if before == before.rstrip() or not re.fullmatch(r"-\w*c", last):
        return False
    shell = next((word for word in reversed(words) if not word.startswith("-")), "")
    return bool(_ENDS_AS_SHELL.search(shell))


def line(template: Template, names: Mapping[str, Any]) -> tuple[str, dict[str, str]]:
    """Return a command line for the shell and the variables that it refers to.

    Raises:
        ExpressionError: An expression has no value, or one that is too long for a variable.
    """
    variables: dict[str, str] = {}
    places = iter(contexts(marked(template)))
    told = ""
    for piece in template.pieces:
        if isinstance(piece, str):
            told += piece
            continue
        name = f"{_PREFIX}{len(variables) + 1}"
        variables[name] = _word(piece, names)
        told += f"${{{name}}}" if next(places) == DOUBLE else f'"${{{name}}}"'
    return told, variables


def words(template: Template, names: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the words of a command line without shell syntax; a value is never split.

    Raises:
        ExpressionError: An expression has no value, or one that is too long for a word.
    """
    values = iter([_word(one, names) for one in template.expressions])
    return tuple(
        "".join(next(values) if char == MARK else char for char in word)
        for word in marked(template).split()
    )


def word(template: Template, names: Mapping[str, Any]) -> str:
    """Return a word of a list.

    Raises:
        ExpressionError: An expression has no value, or one that is too long for a word.
    """
    values = iter([_word(one, names) for one in template.expressions])
    return "".join(one if isinstance(one, str) else next(values) for one in template.pieces)


def needs_shell(line: str) -> bool:
    """Tell whether a command line has shell syntax in it, or begins with a shell's own word."""
    words = line.split()
    return bool(_SYNTAX.search(line)) or (bool(words) and words[0] in _BUILTINS)


def is_builtin(word: str) -> bool:
    """Tell whether a shell knows a command by itself: sh, or bash."""
    return word in _BUILTINS or word in _BUILTINS_AND_PROGRAMS


def template_needs_shell(template: Template) -> bool:
    """Tell the same of a command line with expressions, whatever their values are."""
    return needs_shell("".join(one if isinstance(one, str) else "x" for one in template.pieces))


def marked(template: Template) -> str:
    """Return a command line with a `MARK` in the place of each expression."""
    return "".join(one if isinstance(one, str) else MARK for one in template.pieces)


def _word(piece: Expression, names: Mapping[str, Any]) -> str:
    text = as_text(piece.value(names))
    size = len(text.encode(errors="surrogatepass"))
    if size > _LARGEST:
        reason = (
            f"`{piece.text}`: a value of {size:,} bytes in a command line; 128 KiB are the most"
        )
        raise ExpressionError(f"{reason}: hand it over by stdin", piece.place)
    if "\0" in text:
        raise ExpressionError(f"`{piece.text}`: a value with a NUL in it", piece.place)
    return text
