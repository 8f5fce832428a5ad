"""A command line with expressions in it: no value is ever read as shell code.

Each expression becomes the reference to an environment variable that holds its value: one
word, or a part of the text that stands in double quotes around it.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from pytest_orchestrator.recipe.expressions import Expression, ExpressionError, Template, as_text

_LARGEST = 128 * 1024 - 64
"""Bytes; Linux takes no longer variable."""

_PREFIX = "RECIPE_VALUE_"
_HEREDOC = re.compile(r"<<-?\s*(?:'(\w+)'|\"(\w+)\"|\\(\w+)|(\w+))")
_SPACE = " \t\n"
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


class _Quotes:
    """Follows the quotes of a command line."""

    def __init__(self) -> None:
        self._stack = ["plain"]
        self._awaited: list[tuple[str, bool]] = []
        self._word = False

    @property
    def state(self) -> str:
        """What the next character stands in: plain, single, double, literal or document."""
        return self._stack[-1]

    def follow(self, text: str) -> None:
        """Read on."""
        at = 0
        while at < len(text):
            at = self._step(text, at)

    def _step(self, text: str, at: int) -> int:
        char, state = text[at], self.state
        if state in ("literal", "document"):
            return self._document(text, at)
        if state == "single":
            if char == "'":
                self._stack.pop()
            return at + 1
        if char == "\\":
            return at + 2
        if text.startswith("$(", at):
            self._stack.append("plain")
            self._word = False
            return at + 2
        if char == "`":
            self._toggle("tick")
            return at + 1
        if char == '"':
            self._toggle("double")
            return at + 1
        return at + 1 if state == "double" else self._plain(text, at)

    def _plain(self, text: str, at: int) -> int:
        char = text[at]
        if char == "#" and not self._word:
            end = text.find("\n", at)
            return len(text) if end < 0 else end
        self._word = char not in _SPACE and char not in ";&|("
        if char == "'":
            self._stack.append("single")
        elif char == ")" and len(self._stack) > 1:
            self._stack.pop()
        elif char == "\n" and self._awaited:
            word, is_literal = self._awaited.pop(0)
            self._stack += ["end " + word, "literal" if is_literal else "document"]
        elif found := _HEREDOC.match(text, at):
            quoted = found[1] or found[2] or found[3]
            self._awaited.append((quoted or found[4], bool(quoted)))
            return found.end()
        return at + 1

    def _document(self, text: str, at: int) -> int:
        end = text.find("\n", at)
        line = text[at:] if end < 0 else text[at:end]
        if line.strip() == self._stack[-2].removeprefix("end "):
            del self._stack[-2:]
            return at + len(line)
        return len(text) if end < 0 else end + 1

    def _toggle(self, kind: str) -> None:
        if self.state == kind:
            self._stack.pop()
        else:
            self._stack.append(kind)
            self._word = True


WHOLE = (
    "the whole command line is an expression that gives no list: write the program as text, "
    "with expressions for its arguments"
)


def problem(template: Template) -> str | None:
    """Say what is wrong with the expressions of a command line; None where nothing is."""
    for piece, state in _placed(template):
        if isinstance(piece, Expression) and state in ("single", "literal"):
            where = "single quotes" if state == "single" else "a quoted here-document"
            return (
                f"an expression within {where}, where the shell replaces nothing: "
                f'use double quotes: "${{{{ {piece.text} }}}}"'
            )
    return None


def line(template: Template, names: Mapping[str, Any]) -> tuple[str, dict[str, str]]:
    """Return a command line for the shell and the variables that it refers to.

    Raises:
        ExpressionError: An expression has no value, or one that is too long for a variable.
    """
    variables: dict[str, str] = {}
    told = ""
    for piece, state in _placed(template):
        if isinstance(piece, str):
            told += piece
            continue
        name = f"{_PREFIX}{len(variables) + 1}"
        variables[name] = _variable(piece, names)
        told += f"${{{name}}}" if state in ("double", "document") else f'"${{{name}}}"'
    return told, variables


def words(template: Template, names: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the words of a command line without shell syntax; a value is never split.

    Raises:
        ExpressionError: An expression has no value.
    """
    found: list[str] = []
    is_open = False
    for piece in template.pieces:
        text = piece if isinstance(piece, str) else as_text(piece.value(names))
        parts = text.split() if isinstance(piece, str) else [text]
        joins = is_open and not (isinstance(piece, str) and text[:1].isspace())
        if joins and parts:
            found[-1] += parts.pop(0)
        found += parts
        is_open = not (isinstance(piece, str) and (text[-1:].isspace() or not text))
    return tuple(found)


def needs_shell(line: str) -> bool:
    """Tell whether a command line has shell syntax in it, or begins with a shell's own word."""
    words = line.split()
    return bool(_SYNTAX.search(line)) or (bool(words) and words[0] in _BUILTINS)


def template_needs_shell(template: Template) -> bool:
    """Tell the same of a command line with expressions, whatever their values are."""
    return needs_shell("".join(one if isinstance(one, str) else "x" for one in template.pieces))


def _placed(template: Template) -> Iterator[tuple[str | Expression, str]]:
    quotes = _Quotes()
    for piece in template.pieces:
        yield piece, quotes.state
        quotes.follow(piece if isinstance(piece, str) else "x")


def _variable(piece: Expression, names: Mapping[str, Any]) -> str:
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
