"""Shell script parser: finds simple commands and pipelines in scripts that it fully understands.

The grammar is the common part of POSIX shells and bash: quotes, comments, continuation lines,
here-documents, substitutions, lists, pipelines, compound commands, functions. A script with any
other syntax is rejected as a whole, so every command that is found is certain.
"""

import re
from collections.abc import Callable, Iterator
from typing import Final

import msgspec

from pytest_orchestrator.core.text import lazy_pattern
from pytest_orchestrator.recipe.expressions.command_line import MARK

_OPERATORS = lazy_pattern(r";;&|;;|;&|&&|\|\||\|&|&>>|&>|<<-|<<<|<<|>>|>&|<&|<>|>\||[;&|()<>\n]")
_REDIRECTS: Final = frozenset(
    {"<", ">", ">>", "<<", "<<-", "<<<", ">&", "<&", "<>", ">|", "&>", "&>>"}
)
_ENDS_WORD = frozenset(" \t\n;&|<>()")
_ASSIGNMENT = lazy_pattern(r"([A-Za-z_]\w*)(?:\[[^\]]*\])?\+?=")
_OPENS: Final = {"if": True, "while": True, "until": True, "{": False}
"""Words that open a compound command; True if a condition follows."""
_CONTINUES: Final = {
    "then": (("if",), True),
    "elif": (("if",), False),
    "else": (("if",), False),
    "do": (("while", "until", "for"), True),
}
"""Words inside a compound command, with the words that open it; True if they end its condition."""
_CLOSES: Final = {"fi": ("if",), "done": ("while", "until", "for"), "}": ("{",)}
_LONGEST: Final = 64 * 1024
_SHELLS: Final = frozenset({"sh", "bash", "dash", "ash", "zsh", "ksh", "mksh"})
_FLAGS: Final = lazy_pattern(r"-[A-Za-z]+")


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


class Script(msgspec.Struct, frozen=True):
    """Commands, functions and variables of a script.

    Attributes:
        commands: Its simple commands in order, without those of substitutions.
        functions: Names of the functions that it defines.
        variables: Names of the variables that it assigns.
    """

    commands: tuple[Command, ...]
    functions: frozenset[str]
    variables: frozenset[str]


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
        The parsed script; None if it is too long or has unsupported syntax.
    """
    if len(text) > _LONGEST:
        return None
    try:
        return _Parser(tuple(_Lexer(text).tokens())).script()
    except _UncertainSyntax:
        return None


class _UncertainSyntax(Exception):
    """Exception for shell syntax that this parser does not support."""


class _Token(msgspec.Struct, frozen=True):
    """A word or an operator.

    Attributes:
        text: The token as it is written.
        line: The line of its first character.
        value: The word without quotes; None for an operator and for a word with an expansion.
        is_word: True for a word, False for an operator.
    """

    text: str
    line: int
    value: str | None = None
    is_word: bool = False


_END: Final = _Token("\n", 0)


class _Lexer:
    """Lexer that splits a script into words and operators."""

    def __init__(self, text: str, at: int = 0, line: int = 1) -> None:
        self._text = text
        self._line = line
        self._documents: list[tuple[str, bool]] = []
        self.at = at

    def tokens(self, *, nested: bool = False) -> Iterator[_Token]:
        """Yield the tokens up to the end of the script, or of the substitution if `nested`."""
        depth, awaited = 0, ""
        while self._skip_blanks():
            line = self._line
            operator = _OPERATORS.match(self._text, self.at)
            if operator is None or self._text.startswith(("<(", ">("), self.at):
                token = self._word(line)
                if (
                    nested and token.value == "case"
                ):  # a bracket that ends a pattern would end the substitution
                    raise _UncertainSyntax
                if awaited:
                    self._await(token, tabs=awaited == "<<-")
                awaited = ""
                if not self._is_number_of_redirect(token):
                    yield token
                continue
            self.at = operator.end()
            depth += {"(": 1, ")": -1}.get(operator[0], 0)
            if nested and depth < 0:
                return
            awaited = operator[0] if operator[0] in ("<<", "<<-") else ""
            yield _Token(operator[0], line)
            if operator[0] == "\n":
                self._line += 1
                self._skip_documents()
        if nested or awaited:
            raise _UncertainSyntax

    def _skip_blanks(self) -> bool:
        """Skip blanks and comments up to the next token; return False if no token is left."""
        text = self._text
        while self.at < len(text):
            if text[self.at] in " \t":
                self.at += 1
            elif text.startswith("\\\n", self.at):
                self.at, self._line = self.at + 2, self._line + 1
            elif text[self.at] == "#":
                end = text.find("\n", self.at)
                self.at = len(text) if end < 0 else end
            else:
                return True
        return False

    def _is_number_of_redirect(self, token: _Token) -> bool:
        return token.text.isdigit() and self._text[self.at : self.at + 1] in ("<", ">")

    def _word(self, line: int) -> _Token:
        begin, parts, is_literal = self.at, [""], True
        while self.at < len(self._text):
            char = self._text[self.at]
            if self._text.startswith(("<(", ">("), self.at):
                self.at += 2
                self._skip_substitution()
                is_literal = False
            elif char in _ENDS_WORD:
                break
            else:
                part = _PARTS.get(char, _Lexer._plain)(self)
                is_literal &= part is not None
                parts.append(part or "")
        value = "".join(parts)
        return _Token(
            self._text[begin : self.at], line, value if is_literal else None, is_word=True
        )

    def _plain(self) -> str | None:
        char = self._text[self.at]
        self.at += 1
        return None if char in f"{MARK}*?[~{{}}" else char

    def _escaped(self) -> str:
        char = self._text[self.at + 1 : self.at + 2]
        self.at += 2
        if char == "\n":
            self._line += 1
            return ""
        return char

    def _single(self) -> str:
        end = self._text.find("'", self.at + 1)
        if end < 0:
            raise _UncertainSyntax
        content = self._text[self.at + 1 : end]
        self._line += content.count("\n")
        self.at = end + 1
        return content

    def _double(self) -> str | None:
        self.at += 1
        parts, is_literal = [""], True
        while self._text[self.at : self.at + 1] != '"':
            char = self._text[self.at : self.at + 1]
            if not char:
                raise _UncertainSyntax
            if char in "$`\\":
                part = _PARTS[char](self)
                is_literal &= part is not None
                parts.append(part or "")
                continue
            is_literal &= char != MARK
            self._line += char == "\n"
            parts.append(char)
            self.at += 1
        self.at += 1
        return "".join(parts) if is_literal else None

    def _dollar(self) -> None:
        """Skip an expansion that begins with ``$``."""
        text, self.at = self._text, self.at + 1
        if text.startswith("((", self.at):
            self._skip_arithmetic()
        elif text.startswith("(", self.at):
            self.at += 1
            self._skip_substitution()
        elif text.startswith("{", self.at):
            end = text.find("}", self.at)
            inner = text[self.at + 1 : end]
            if end < 0 or re.search(r"[\"'`\\{$\n]", inner):
                raise _UncertainSyntax
            self.at = end + 1
        elif text.startswith(("'", '"'), self.at):  # $'…' of bash
            raise _UncertainSyntax

    def _skip_arithmetic(self) -> None:
        depth = 0
        while self.at < len(self._text):
            char = self._text[self.at]
            if char in "'\"`\n":
                raise _UncertainSyntax
            depth += {"(": 1, ")": -1}.get(char, 0)
            self.at += 1
            if depth == 0:
                return
        raise _UncertainSyntax

    def _skip_substitution(self) -> None:
        inner = _Lexer(self._text, self.at, self._line)
        _Parser(tuple(inner.tokens(nested=True))).script()
        self.at, self._line = inner.at, inner._line

    def _ticks(self) -> None:
        end = re.compile(r"(?:[^`\\]|\\.)*`", re.DOTALL).match(self._text, self.at + 1)
        if end is None:
            raise _UncertainSyntax
        self._line += end[0].count("\n")
        self.at = end.end()

    def _await(self, word: _Token, *, tabs: bool) -> None:
        """Store the delimiter of a here-document that begins in the next line."""
        if word.value is None:
            raise _UncertainSyntax
        self._documents.append((word.value, tabs))

    def _skip_documents(self) -> None:
        for word, tabs in self._documents:
            is_over = False
            while not is_over and self.at < len(self._text):
                end = self._text.find("\n", self.at)
                end = len(self._text) if end < 0 else end
                content = self._text[self.at : end]
                is_over = (content.lstrip("\t") if tabs else content) == word
                self.at, self._line = end + 1, self._line + 1
        self._documents.clear()


_PARTS: Final[dict[str, Callable[[_Lexer], str | None]]] = {
    "\\": _Lexer._escaped,  # noqa: SLF001
    "'": _Lexer._single,  # noqa: SLF001
    '"': _Lexer._double,  # noqa: SLF001
    "$": _Lexer._dollar,  # noqa: SLF001
    "`": _Lexer._ticks,  # noqa: SLF001
}


class _Open(msgspec.Struct, frozen=True):
    """A compound command whose end is not parsed yet.

    Attributes:
        word: The word that opened it.
        start: Number of commands before the list that contains it.
        pipeline: Number of commands before the pipeline that contains it.
        in_condition: True while its condition is read.
    """

    word: str
    start: int
    pipeline: int
    in_condition: bool


class _Parser:
    """Parser of the tokens of a script."""

    def __init__(self, tokens: tuple[_Token, ...]) -> None:
        self._tokens = tokens
        self._at = 0
        self._commands: list[Command] = []
        self._open: list[_Open] = []
        self._start = self._pipeline = 0
        self._negated = False
        self._is_awaited = False  # True if a command must follow
        self._functions: set[str] = set()
        self._variables: set[str] = set()

    def script(self) -> Script:
        """Parse all tokens, and return the script."""
        while self._at < len(self._tokens):
            self._command()
        if self._open or self._is_awaited:
            raise _UncertainSyntax
        return Script(tuple(self._commands), frozenset(self._functions), frozenset(self._variables))

    def _peek(self, ahead: int = 0) -> _Token:
        at = self._at + ahead
        return self._tokens[at] if at < len(self._tokens) else _END

    def _take(self) -> _Token:
        token = self._peek()
        self._at += 1
        return token

    def _command(self) -> None:
        """Parse one command, or the keyword or operator in its place."""
        token = self._take()
        if not token.is_word:
            self._operator(token)
        elif not self._compound(token):
            self._simple(token)

    def _compound(self, token: _Token) -> bool:
        """Parse a keyword of a compound command; return False for any other word."""
        word = token.text
        if word in _OPENS:
            self._push(word, in_condition=_OPENS[word])
        elif word in _CONTINUES:
            self._continue(*_CONTINUES[word], in_condition=word == "elif")
        elif word in _CLOSES:
            self._pop(*_CLOSES[word])
        elif word in _SPECIAL:
            _SPECIAL[word](self)
        else:
            return False
        return True

    def _push(self, word: str, *, in_condition: bool = False) -> None:
        self._open.append(_Open(word, self._start, self._pipeline, in_condition))
        self._begin()

    def _begin(self) -> None:
        """Begin a list of commands."""
        self._start = self._pipeline = len(self._commands)
        self._is_awaited = True

    def _continue(self, words: tuple[str, ...], was: bool, *, in_condition: bool) -> None:
        opened = self._open[-1] if self._open else None
        if opened is None or opened.word not in words or self._is_awaited:
            raise _UncertainSyntax
        if opened.in_condition is not was:
            raise _UncertainSyntax
        self._open[-1] = msgspec.structs.replace(self._open[-1], in_condition=in_condition)
        self._begin()

    def _pop(self, *words: str) -> None:
        if not self._open or self._open[-1].word not in words:
            raise _UncertainSyntax
        if self._is_awaited or self._open[-1].in_condition:
            raise _UncertainSyntax
        opened = self._open.pop()
        self._start, self._pipeline = opened.start, opened.pipeline
        self._rest()

    def _negation(self) -> None:
        if self._at > 1 and self._tokens[self._at - 2].text in ("|", "|&"):
            raise _UncertainSyntax
        self._negated = self._is_awaited = True

    def _loop(self) -> None:
        """Parse the head of a `for` or `select` loop, up to its `do`."""
        self._push("for", in_condition=True)
        if not self._take().is_word:
            raise _UncertainSyntax
        self._skip_lines()
        is_list = self._peek().text == "in"
        while is_list and self._peek().is_word:
            self._take()
        if (is_list or self._peek().text == ";") and self._take().text not in (";", "\n"):
            raise _UncertainSyntax
        self._is_awaited = False

    def _skip_lines(self) -> None:
        while self._peek().text == "\n" and self._at < len(self._tokens):
            self._take()

    def _case(self) -> None:
        self._push("case")
        if not self._take().is_word:
            raise _UncertainSyntax
        self._skip_lines()
        if self._take().text != "in":
            raise _UncertainSyntax
        self._pattern()

    def _pattern(self) -> None:
        """Parse a pattern of `case` up to its ``)``, or the `esac` that ends the `case`."""
        self._skip_lines()
        if self._peek().text == "esac":
            self._take()
            self._is_awaited = False
            self._pop("case")
            return
        if self._peek().text == "(":
            self._take()
        if not self._take().is_word:
            raise _UncertainSyntax
        while (token := self._take()).text != ")":
            if not token.is_word and token.text != "|":
                raise _UncertainSyntax
        self._begin()
        self._is_awaited = False

    def _esac(self) -> None:
        self._pop("case")

    def _test(self) -> None:
        """Parse `[[ … ]]`, which has its own operators."""
        while self._take().text != "]]":
            if self._at >= len(self._tokens):
                raise _UncertainSyntax
        self._rest()

    def _function(self) -> None:
        self._defined(self._take().text)

    def _defined(self, name: str) -> None:
        """Parse the head of a function definition, up to the body."""
        self._functions.add(name)
        if (self._peek().text, self._peek(1).text) == ("(", ")"):
            self._at += 2
        self._skip_lines()
        if self._peek().text not in ("{", "("):
            raise _UncertainSyntax
        self._is_awaited = True

    def _unknown(self) -> None:
        raise _UncertainSyntax

    def _operator(self, token: _Token) -> None:
        """Parse an operator that stands where a command may begin."""
        if token.text == "(":
            if self._peek().text == "(":  # (( … )) of bash
                raise _UncertainSyntax
            self._push("(")
        elif token.text == ")":
            self._pop("(")
        elif token.text in _REDIRECTS:
            self._take()
        elif token.text in (";;", ";&", ";;&"):
            self._next_case()
        elif token.text != "\n":
            raise _UncertainSyntax

    def _next_case(self) -> None:
        if not self._open or self._open[-1].word != "case":
            raise _UncertainSyntax
        self._pattern()

    def _simple(self, token: _Token) -> None:
        assigned = _ASSIGNMENT.match(token.text)
        if assigned:
            self._variables.add(assigned[1])
            if self._peek().text == "(" and token.text.endswith("="):  # an array of bash
                while self._take().text != ")":
                    if self._at >= len(self._tokens):
                        raise _UncertainSyntax
            if not self._peek().is_word and self._peek().text not in _REDIRECTS:
                self._rest()
            return
        if (self._peek().text, self._peek(1).text) == ("(", ")"):
            self._defined(token.text)
            return
        guarded = self._negated or any(one.in_condition for one in self._open)
        self._commands.append(Command(token.value, token.line, (), guarded))
        self._rest(of_command=True)

    def _rest(self, *, of_command: bool = False) -> None:
        """Parse the words and redirections after a command, and the operator that ends it."""
        words: list[str] = []
        self._is_awaited = False
        while True:
            token = self._take()
            if token.is_word:
                if not of_command:
                    raise _UncertainSyntax
                words.append(token.text)
            elif token.text in _REDIRECTS:
                self._take()
            else:
                break
        if of_command:
            self._commands[-1] = msgspec.structs.replace(self._commands[-1], words=tuple(words))
        self._joined(token.text)

    def _joined(self, operator: str) -> None:
        """Parse the operator that follows a command."""
        if operator in ("|", "|&"):
            self._mark(self._pipeline, piped=True)
            self._is_awaited = True
            return
        if operator == "(":
            raise _UncertainSyntax
        if operator == "||":
            self._mark(self._start, guarded=True)
        self._negated = False
        self._pipeline = len(self._commands)
        if operator in (";", "\n", "&"):
            self._begin()
            self._is_awaited = False
        elif operator in ("&&", "||"):
            self._is_awaited = True
        else:
            self._at -= 1  # the operator belongs to a compound command

    def _mark(self, start: int, *, piped: bool = False, guarded: bool = False) -> None:
        """Set `piped` or `guarded` of all commands from the index `start` on."""
        for at in range(start, len(self._commands)):
            one = self._commands[at]
            self._commands[at] = msgspec.structs.replace(
                one, piped=one.piped or piped, guarded=one.guarded or guarded
            )


_SPECIAL: Final[dict[str, Callable[[_Parser], None]]] = {
    "!": _Parser._negation,  # noqa: SLF001
    "for": _Parser._loop,  # noqa: SLF001
    "select": _Parser._loop,  # noqa: SLF001
    "case": _Parser._case,  # noqa: SLF001
    "esac": _Parser._esac,  # noqa: SLF001
    "[[": _Parser._test,  # noqa: SLF001
    "function": _Parser._function,  # noqa: SLF001
    "time": _Parser._unknown,  # noqa: SLF001
    "coproc": _Parser._unknown,  # noqa: SLF001
}
