"""Simple commands and pipelines of shell scripts, parsed by tree-sitter-bash.

It is in the extra `validate`; without it, and in a script with syntax that its grammar does not
know, nothing is found.
"""

from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import msgspec

from pytest_orchestrator.core.extras import is_installed
from pytest_orchestrator.core.text import lazy_pattern
from pytest_orchestrator.recipe.expressions.command_line import MARK

if TYPE_CHECKING:
    from tree_sitter import Node

    _Node = Node
else:
    _Node = Any

_LONGEST: Final = 64 * 1024
_SHELLS: Final = frozenset({"sh", "bash", "dash", "ash", "zsh", "ksh", "mksh"})
_FLAGS: Final = lazy_pattern(r"-[A-Za-z]+")
_LITERAL: Final = lazy_pattern(r"(['\"]?)([^'\"\\$`*?\[~{}]+)\1")
_CONDITIONS: Final = {"if_statement": "then", "elif_clause": "then", "while_statement": "do_group"}
"""Statements with a condition, and the part that follows it."""
_KEYWORDS: Final = frozenset(
    ("coproc", "do", "done", "elif", "else", "esac", "fi", "in", "select", "then", "time", "}")
)
"""Words that the grammar takes for commands, where the shell knows them or reports an error."""
_OPAQUE: Final = ("command_substitution", "process_substitution", "comment")


class Command(msgspec.Struct, frozen=True):
    """One simple command.

    Attributes:
        program: Its first word without quotes; None if an expansion determines it.
        line: The line of that word in the script, from 1.
        words: The other words as they are written.
        guarded: True if its failure is a condition or is handled: `if`, `while`, `!`, `||`.
        piped: True if another command of its pipeline follows.
    """

    program: str | None
    line: int
    words: tuple[str, ...] = ()
    guarded: bool = False
    piped: bool = False


class Script(msgspec.Struct):
    """Commands, functions and variables of a script.

    Attributes:
        commands: Its simple commands in order, without those of substitutions.
        functions: Names of the functions that it defines.
        variables: Names of the variables that it assigns.
    """

    commands: list[Command]
    functions: set[str]
    variables: set[str]


def runs_as_shell(words: tuple[str, ...]) -> bool:
    """Return True if a list of words runs a POSIX shell that reads its script from a file."""
    name = words[0].rpartition("/")[2]
    if name == "busybox" and len(words) > 1:
        name = words[1]
    return name in _SHELLS and not any(_FLAGS.fullmatch(one) and "c" in one for one in words)


def ends_at_failure(words: tuple[str, ...]) -> bool:
    """Return True if the words of a shell contain `-e` or `errexit`."""
    return any("errexit" in one or (_FLAGS.fullmatch(one) and "e" in one) for one in words[1:])


def commands_of(text: str) -> Script | None:
    """Parse a shell script.

    Args:
        text: The script, with a `MARK` in place of each recipe expression.

    Returns:
        The parsed script; None if it is too long or has unknown syntax, or without the extra.
    """
    if len(text) > _LONGEST or not is_installed("validate"):
        return None
    root = _parser().parse(text.replace(MARK, "${_}").encode(errors="replace")).root_node
    if root.has_error:
        return None
    script = Script([], set(), set())
    left: list[tuple[_Node, bool, bool]] = [(root, False, False)]
    while left:  # a stack, since a hostile script nests deeper than Python recurses
        node, guarded, piped = left.pop()
        kinds = [one.type for one in node.children]
        if node.type in ("command", "test_command") or "((" in kinds:
            if _text(node.child_by_field_name("name")) in _KEYWORDS or "subshell" in kinds:
                return None
            script.commands.append(_command(node, guarded, piped))
        elif node.type == "function_definition":
            script.functions.add(_text(node.child_by_field_name("name")))
        elif node.type == "variable_assignment":
            script.variables.add(_text(node.child_by_field_name("name")).partition("[")[0])
        left += reversed([*_parts(node, guarded, piped)])
    return script


@cache
def _parser() -> Any:
    import tree_sitter_bash
    from tree_sitter import Language, Parser

    return Parser(Language(tree_sitter_bash.language()))


def _text(node: "_Node | None") -> str:
    return "" if node is None or node.text is None else node.text.decode()


def _command(node: _Node, guarded: bool, piped: bool) -> Command:
    name = node.child_by_field_name("name")
    literal = _LITERAL.fullmatch(_text(name))
    words = tuple(map(_text, node.children_by_field_name("argument")))
    line = (name or node).start_point[0] + 1
    return Command(literal[2] if literal else None, line, words, guarded, piped)


def _parts(node: _Node, guarded: bool, piped: bool) -> Iterator[tuple[_Node, bool, bool]]:
    """Yield the parts of a node, each with True if its failure is handled, and if it is piped."""
    kinds = [one.type for one in node.children]
    end = _CONDITIONS.get(node.type)
    is_negated = node.type == "negated_command" or "negated_command" in kinds
    for number, (kind, one) in enumerate(zip(kinds, node.children, strict=True)):
        if kind in _OPAQUE:
            continue
        is_condition = (end or "||") in kinds[number + 1 :]
        is_first = node.type == "pipeline" and number < len(kinds) - 1
        yield one, guarded or is_negated or is_condition, piped or is_first
