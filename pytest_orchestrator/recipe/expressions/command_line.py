"""Command lines: the shell quoting of their expressions, and their simple commands.

A value is never inserted into the command line, where it would be read as shell code. The shell
receives variables instead. Commands are parsed by tree-sitter-bash of the extra `validate`; without
it, and in a script with syntax that its grammar does not know, nothing is found.
"""

import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, Final, cast

import msgspec

from pytest_orchestrator.core.extras import is_installed
from pytest_orchestrator.core.text import lazy_pattern
from pytest_orchestrator.recipe.expressions.expression import (
    Expression,
    ExpressionError,
    Template,
    as_text,
)

if TYPE_CHECKING:
    from tree_sitter import Node

    _Node = Node
else:
    _Node = Any

MARK = "\0"
"""Placeholder for an expression in a command line; a command line cannot contain NUL itself."""

PLAIN, DOUBLE, SINGLE = "plain", "double", "single"
LITERAL = "literal"
"""A here-document with a quoted delimiter."""
ARITHMETIC = "arithmetic"
ESCAPED = "escaped"
"""After a backslash."""

_DOCUMENT, _BRACE, _TICK, _GROUP, _CASE = "document", "brace", "tick", "group", "case"
_READ_AS = {_DOCUMENT: DOUBLE, _TICK: PLAIN, _GROUP: PLAIN, _CASE: PLAIN}
_BEGINS = lazy_pattern(
    r"<<(?P<tabs>-?)[ \t]*(?:'(?P<a>[^'\n]+)'|\"(?P<b>[^\"\n]+)\"|\\(?P<c>[\w.-]+)|(?P<d>[\w.-]+))"
)
_CASE_BEGINS = lazy_pattern(r"case\s")
_IN = lazy_pattern(r"\sin\s|[;\n]|\Z")
_CASE_ENDS = lazy_pattern(r"esac\b")


def contexts(line: str) -> list[str]:
    """Return the shell quoting at each `MARK` in a command line.

    Args:
        line: A command line with marks.

    Returns:
        A constant such as `SINGLE` for each mark. An unquoted here-document is `DOUBLE`, because
        the shell expands it like double quotes; a comment is `PLAIN`.
    """
    scan = _Scan(line)
    at = 0
    while at < len(line):
        at = scan.step(at)
    return scan.found


class _Stack:
    """Stack of the nested quoting states at one position of a command line.

    Attributes:
        state: The innermost state.
        context: The way in which the shell reads the next character.
    """

    def __init__(self) -> None:
        self.state = self.context = PLAIN
        self._below: list[tuple[str, str]] = []
        self._tick: int | None = None

    def __len__(self) -> int:
        return len(self._below) + 1

    def push(self, state: str) -> None:
        """Enter a quoting state; text in ``${…}`` is read like the text around the braces."""
        self._below.append((self.state, self.context))
        self.state = state
        if state != _BRACE:
            self.context = _READ_AS.get(state, state)

    def pop(self) -> None:
        """Leave the innermost quoting state."""
        self.state, self.context = self._below.pop()

    def tick(self) -> None:
        """Enter backticks, or leave them together with all states inside."""
        if self._tick is None:
            self._tick = len(self)
            self.push(_TICK)
            return
        while len(self) > self._tick:
            self.pop()
        self._tick = None


class _Scan:
    """Scanner for the quotes of a command line; methods with an `at` return the next position."""

    def __init__(self, line: str) -> None:
        self.found: list[str] = []
        self._line = line
        self._stack = _Stack()
        self._in: re.Match[str] | None = None
        self._awaited: list[tuple[str, str, bool]] = []
        self._ends: list[tuple[str, bool]] = []
        self._in_word = False

    def step(self, at: int) -> int:
        """Scan the text at a position, and return the position after it."""
        char, state = self._line[at], self._stack.state
        if state in (_DOCUMENT, LITERAL) and (at == 0 or self._line[at - 1] == "\n"):
            past = self._ended(at)
            if past > at:
                return past
        if char == MARK:
            self.found.append(self._stack.context)
            self._in_word = True
            return at + 1
        if state in (SINGLE, LITERAL):
            if state == SINGLE and char == "'":
                self._stack.pop()
            return at + 1
        if char == "\\":
            self._in_word = True
            if self._line[at + 1 : at + 2] == MARK:
                self.found.append(ESCAPED)
            return at + 2
        past = self._opened(at)
        return past if past > at else self._closed(at)

    def _opened(self, at: int) -> int:
        """Scan ``$(``, ``${``, a backtick or a double quote; return `at` itself for other text."""
        line, state = self._line, self._stack.state
        for opening, states in (
            ("$((", [ARITHMETIC, ARITHMETIC]),
            ("$(", [PLAIN]),
            ("${", [_BRACE]),
        ):
            if line.startswith(opening, at):
                for one in states:
                    self._stack.push(one)
                self._in_word = opening == "${"
                return at + len(opening)
        if line[at] == "`":
            self._stack.tick()
            self._in_word = False
            return at + 1
        if line[at] == '"' and state not in (_DOCUMENT, ARITHMETIC):
            if state == DOUBLE:
                self._stack.pop()
            else:
                self._stack.push(DOUBLE)
            self._in_word = True
            return at + 1
        return at

    def _closed(self, at: int) -> int:
        """Scan text whose meaning depends on the quoting state, such as the end of the state."""
        char, state = self._line[at], self._stack.state
        if state == ARITHMETIC and char == "(":
            self._stack.push(ARITHMETIC)
        elif (state == ARITHMETIC and char == ")") or (state == _BRACE and char == "}"):
            self._stack.pop()
            self._in_word = True
        elif self._stack.context == PLAIN:
            return self._plain(at)
        return at + 1

    def _plain(self, at: int) -> int:
        char, state = self._line[at], self._stack.state
        begins, self._in_word = not self._in_word, char not in " \t\n;&|<>("
        if char == "'":
            self._stack.push(SINGLE)
        elif state == _BRACE:
            return at + 1
        elif char == "#" and begins:
            return self._comment(at)
        elif char == "(":
            self._stack.push(_GROUP)
        elif char == ")":
            self._close()
        elif char == "\n" and self._awaited:
            kind, *end = self._awaited.pop(0)
            self._stack.push(kind)
            self._ends.append((str(end[0]), bool(end[1])))
        elif char == "<":
            return self._redirected(at)
        elif begins and self._begins_case(at):
            self._stack.push(_CASE)
        elif begins and state == _CASE and _CASE_ENDS.match(self._line, at):
            self._stack.pop()
        return at + 1

    def _begins_case(self, at: int) -> bool:
        """Return True if a `case … in` begins at a position and ends in the same line."""
        begin = _CASE_BEGINS.match(self._line, at)
        if begin is None:
            return False
        if self._in is None or self._in.start() < begin.end():
            self._in = _IN.search(self._line, begin.end())
        return self._in is not None and self._in[0].strip() == "in"

    def _close(self) -> None:
        state = self._stack.state
        if state == _GROUP or (state == PLAIN and len(self._stack) > 1):
            self._stack.pop()
            self._in_word = state == PLAIN

    def _comment(self, at: int) -> int:
        end = self._line.find("\n", at)
        end = len(self._line) if end < 0 else end
        self.found += [PLAIN] * self._line.count(MARK, at, end)
        return end

    def _redirected(self, at: int) -> int:
        if self._line.startswith("<<<", at):
            return at + 3
        match = _BEGINS.match(self._line, at)
        if match is None:
            return at + 1
        word = match["a"] or match["b"] or match["c"] or match["d"]
        self._awaited.append((_DOCUMENT if match["d"] else LITERAL, word, bool(match["tabs"])))
        self._in_word = True
        return match.end()

    def _ended(self, at: int) -> int:
        """Return the end of the line at `at` if that line ends the here-document, else `at`."""
        end = self._line.find("\n", at)
        end = len(self._line) if end < 0 else end
        word, is_indented = self._ends[-1]
        content = self._line[at:end]
        if (content.lstrip("\t") if is_indented else content) != word:
            return at
        self._stack.pop()
        self._ends.pop()
        self._in_word = False
        return end


_LARGEST = 128 * 1024 - 64
"""Bytes of a value; Linux accepts no longer environment variable."""

_PREFIX = "RECIPE_VALUE_"
_SHELL = r"(?:\S*/)?(?:ba|da|a|k|z)?sh"
_ENDS_AS_SHELL = lazy_pattern(r"(?:^|[;&|(`/])(?:ba|da|a|k|z)?sh$")
_EVAL = lazy_pattern(r"(?:^|[\s;&|(`])eval\s")
_NEAR = 4096
"""Number of characters before an expression in which another shell is searched."""

_SYNTAX = frozenset("#;\"*?[]&|<>(){}$`^~!\\'\n=%")
# Words that only a shell implements; a program of the same name would do something else.
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
    " is within code for another shell: hand it over as an argument, "
    "as in: sh -c 'echo \"$1\"' sh ${{ … }}"
)


_FOREIGN = (
    " is in a command line that {} runs, where its value would be read as code: "
    "hand it over by 'env', as an environment variable"
)


_CURES = {
    SINGLE: (
        " is within single quotes, where the shell replaces nothing",
        'use double quotes: "{}"',
    ),
    LITERAL: (
        " is within a quoted here-document, where the shell replaces nothing",
        "leave the quotes of its word out",
    ),
    ARITHMETIC: (" is within $(( )), which would read its value as code", "let it do the sum: {}"),
    ESCAPED: (" is behind a backslash", "leave that out; the text itself is written ${}"),
}


def problem(
    template: Template,
    command: str | tuple[str, ...],
    shell: str | tuple[str, ...] | None = None,
) -> str | None:
    """Return the place where the shell would not get the value of an expression, with its cure.

    The text is the end of a sentence that begins with ``an expression``; None if it gets all.

    Args:
        template: The command line, or a word of a list, with its path in the step.
        command: The command line or the list as it is written.
        shell: The shell that will run the line, if the recipe names one.
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
            return f"{where}: {cure.format(written)}"
        if _is_code(line, end):
            return _OTHER_SHELL
    return None


def _is_code(line: str, end: int) -> bool:
    """Return True if a position is inside an argument that `eval` or another shell runs as code.

    Each part of the line is searched once.
    """
    begin = max(0, *(line.rfind(char, 0, end) for char in ";&|\n"))
    if _EVAL.search(line, begin, end):
        return True
    near = line[max(0, end - _NEAR) : end]
    ends = [near.rfind(char) for char in " \t\n\"'"]
    return any(_follows_shell(near[:at]) for at in (max(ends) + 1, near.rfind('"')) if at > 0)


def _follows_shell(before: str) -> bool:
    """Return True if a text ends with a shell, its options and the option for code: `sh -c `."""
    *words, last = before.split() or [""]
    if before == before.rstrip() or not re.fullmatch(r"-\w*c", last):
        return False
    shell = next((word for word in reversed(words) if not word.startswith("-")), "")
    return bool(_ENDS_AS_SHELL.search(shell))


def line(template: Template, names: Mapping[str, Any]) -> tuple[str, dict[str, str]]:
    """Return a command line with variables in place of expressions, and the values by variable.

    Raises:
        ExpressionError: An expression has no value, or a value that is too long for a variable.
    """
    variables: dict[str, str] = {}
    places = iter(contexts(marked(template)))
    text = ""
    for piece in template.pieces:
        if isinstance(piece, str):
            text += piece
            continue
        name = f"{_PREFIX}{len(variables) + 1}"
        variables[name] = _word(piece, names)
        text += f"${{{name}}}" if next(places) == DOUBLE else f'"${{{name}}}"'
    return text, variables


def words(template: Template, names: Mapping[str, Any]) -> tuple[str, ...]:
    """Split a command line without shell syntax into words; values of expressions are not split.

    Raises:
        ExpressionError: An expression has no value, or a value that is too long for a word.
    """
    values = iter([_word(one, names) for one in template.expressions])
    return tuple(
        "".join(next(values) if char == MARK else char for char in word)
        for word in marked(template).split()
    )


def word(template: Template, names: Mapping[str, Any]) -> str:
    """Return one word of a command list, with its expressions replaced by their values.

    Raises:
        ExpressionError: An expression has no value, or a value that is too long for a word.
    """
    values = iter([_word(one, names) for one in template.expressions])
    return "".join(one if isinstance(one, str) else next(values) for one in template.pieces)


def needs_shell(line: str) -> bool:
    """Return True if a command line has shell syntax or begins with a shell builtin or keyword."""
    words = line.split()
    return not _SYNTAX.isdisjoint(line) or (bool(words) and words[0] in _BUILTINS)


def is_builtin(word: str) -> bool:
    """Return True if sh or bash implements a command itself."""
    return word in _BUILTINS or word in _BUILTINS_AND_PROGRAMS


def template_needs_shell(template: Template) -> bool:
    """Return True if a command line needs a shell, whatever the values of its expressions."""
    return needs_shell("".join(one if isinstance(one, str) else "x" for one in template.pieces))


def marked(template: Template) -> str:
    """Return a command line with a `MARK` in place of each expression."""
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
