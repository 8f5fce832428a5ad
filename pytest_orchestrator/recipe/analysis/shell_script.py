"""Shell script parser: simple commands and pipelines, as far as they are certain.

The grammar is the common one of POSIX shells and bash: quotes, comments, continuation lines,
here-documents, substitutions, lists, pipelines, compound commands, functions. A script with
anything else in it is not read at all, so what is found is certain.
"""

import re
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from pytest_orchestrator.recipe.expressions.command_line import MARK

_OPERATORS = re.compile(r";;&|;;|;&|&&|\|\||\|&|&>>|&>|<<-|<<<|<<|>>|>&|<&|<>|>\||[;&|()<>\n]")
_REDIRECTS: Final = frozenset(
    {"<", ">", ">>", "<<", "<<-", "<<<", ">&", "<&", "<>", ">|", "&>", "&>>"}
)
_ENDS_WORD = frozenset(" \t\n;&|<>()")
_ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)(?:\[[^\]]*\])?\+?=")
_OPENS: Final = {"if": True, "while": True, "until": True, "{": False}
"""Words that open a compound command; true where a condition follows."""
_GOES_ON: Final = {
    "then": (("if",), True),
    "elif": (("if",), False),
    "else": (("if",), False),
    "do": (("while", "until", "for"), True),
}
"""Words within one, with those that opened it; true where its condition ends."""
_CLOSES: Final = {"fi": ("if",), "done": ("while", "until", "for"), "}": ("{",)}
_LONGEST: Final = 64 * 1024


class Command(NamedTuple):
    """One simple command.

    Attributes:
        program: Its first word without quotes; None where an expansion gives it.
        line: The line of the script that the word stands in, from 1.
        words: The words behind it as they are written.
        guarded: Its failure is a condition, or has an answer: `if`, `while`, `!`, `||`.
        piped: Another command of its pipeline follows.
    """

    program: str | None
    line: int
    words: tuple[str, ...] = ()
    guarded: bool = False
    piped: bool = False


class Script(NamedTuple):
    """What a script runs.

    Attributes:
        commands: Its simple commands in their order, but those of substitutions.
        functions: Names of the functions that it defines.
        variables: Names of the variables that it assigns.
    """

    commands: tuple[Command, ...]
    functions: frozenset[str]
    variables: frozenset[str]


def commands_of(text: str) -> Script | None:
    """Read a script.

    Args:
        text: The script; a `MARK` stands for an expansion.

    Returns:
        What it runs; None where that is not certain.
    """
    if len(text) > _LONGEST:
        return None
    try:
        return _Parser(tuple(_Lexer(text).tokens())).script()
    except _Unsure:
        return None


class _Unsure(Exception):
    """Something that this grammar does not have."""


class _Token(NamedTuple):
    """A word or an operator.

    Attributes:
        text: As it is written.
        line: Where it begins.
        value: The word without quotes; None for an operator, or where an expansion is in it.
        is_word: It is no operator.
    """

    text: str
    line: int
    value: str | None = None
    is_word: bool = False


_END: Final = _Token("\n", 0)


class _Lexer:
    """Cuts a script into words and operators."""

    def __init__(self, text: str, at: int = 0, line: int = 1) -> None:
        self._text = text
        self._line = line
        self._documents: list[tuple[str, bool]] = []
        self.at = at

    def tokens(self, *, nested: bool = False) -> Iterator[_Token]:
        """Give the tokens, those of a command substitution up to its end."""
        depth, awaited = 0, ""
        while self._skip_blanks():
            line = self._line
            found = _OPERATORS.match(self._text, self.at)
            if found is None or self._text.startswith(("<(", ">("), self.at):
                token = self._word(line)
                if nested and token.value == "case":  # its patterns end with a bracket
                    raise _Unsure
                if awaited:
                    self._await(token, tabs=awaited == "<<-")
                awaited = ""
                if not self._is_number_of_redirect(token):
                    yield token
                continue
            self.at = found.end()
            depth += {"(": 1, ")": -1}.get(found[0], 0)
            if nested and depth < 0:
                return
            awaited = found[0] if found[0] in ("<<", "<<-") else ""
            yield _Token(found[0], line)
            if found[0] == "\n":
                self._line += 1
                self._skip_documents()
        if nested or awaited:
            raise _Unsure

    def _skip_blanks(self) -> bool:
        """Go to the next token; false where there is none."""
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
        begin, parts, known = self.at, [""], True
        while self.at < len(self._text):
            char = self._text[self.at]
            if self._text.startswith(("<(", ">("), self.at):
                self.at += 2
                self._skip_substitution()
                known = False
            elif char in _ENDS_WORD:
                break
            else:
                part = _PARTS.get(char, _Lexer._plain)(self)
                known &= part is not None
                parts.append(part or "")
        value = "".join(parts)
        return _Token(self._text[begin : self.at], line, value if known else None, is_word=True)

    def _plain(self) -> str | None:
        char = self._text[self.at]
        self.at += 1
        return None if char in f"{MARK}*?[~{{}}" else char

    def _escaped(self) -> str:
        found = self._text[self.at + 1 : self.at + 2]
        self.at += 2
        if found == "\n":
            self._line += 1
            return ""
        return found

    def _single(self) -> str:
        end = self._text.find("'", self.at + 1)
        if end < 0:
            raise _Unsure
        found = self._text[self.at + 1 : end]
        self._line += found.count("\n")
        self.at = end + 1
        return found

    def _double(self) -> str | None:
        self.at += 1
        parts, known = [""], True
        while self._text[self.at : self.at + 1] != '"':
            char = self._text[self.at : self.at + 1]
            if not char:
                raise _Unsure
            if char in "$`\\":
                part = _PARTS[char](self)
                known &= part is not None
                parts.append(part or "")
                continue
            known &= char != MARK
            self._line += char == "\n"
            parts.append(char)
            self.at += 1
        self.at += 1
        return "".join(parts) if known else None

    def _dollar(self) -> None:
        """Skip an expansion."""
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
                raise _Unsure
            self.at = end + 1
        elif text.startswith(("'", '"'), self.at):  # $'…' of bash
            raise _Unsure

    def _skip_arithmetic(self) -> None:
        depth = 0
        while self.at < len(self._text):
            char = self._text[self.at]
            if char in "'\"`\n":
                raise _Unsure
            depth += {"(": 1, ")": -1}.get(char, 0)
            self.at += 1
            if depth == 0:
                return
        raise _Unsure

    def _skip_substitution(self) -> None:
        inner = _Lexer(self._text, self.at, self._line)
        _Parser(tuple(inner.tokens(nested=True))).script()
        self.at, self._line = inner.at, inner._line

    def _ticks(self) -> None:
        end = re.compile(r"(?:[^`\\]|\\.)*`", re.DOTALL).match(self._text, self.at + 1)
        if end is None:
            raise _Unsure
        self._line += end[0].count("\n")
        self.at = end.end()

    def _await(self, word: _Token, *, tabs: bool) -> None:
        """Note the word that ends a here-document."""
        if word.value is None:
            raise _Unsure
        self._documents.append((word.value, tabs))

    def _skip_documents(self) -> None:
        for word, tabs in self._documents:
            is_over = False
            while not is_over and self.at < len(self._text):
                end = self._text.find("\n", self.at)
                end = len(self._text) if end < 0 else end
                said = self._text[self.at : end]
                is_over = (said.lstrip("\t") if tabs else said) == word
                self.at, self._line = end + 1, self._line + 1
        self._documents.clear()


_PARTS: Final[dict[str, Callable[[_Lexer], str | None]]] = {
    "\\": _Lexer._escaped,  # noqa: SLF001
    "'": _Lexer._single,  # noqa: SLF001
    '"': _Lexer._double,  # noqa: SLF001
    "$": _Lexer._dollar,  # noqa: SLF001
    "`": _Lexer._ticks,  # noqa: SLF001
}


class _Open(NamedTuple):
    """A compound command that is not over.

    Attributes:
        word: What opened it.
        start: Number of commands before the list that it stands in.
        pipeline: The same of the pipeline.
        in_condition: What is read now is its condition.
    """

    word: str
    start: int
    pipeline: int
    in_condition: bool


class _Parser:
    """Follows the tokens of a script from one command to the next."""

    def __init__(self, tokens: tuple[_Token, ...]) -> None:
        self._tokens = tokens
        self._at = 0
        self._commands: list[Command] = []
        self._open: list[_Open] = []
        self._start = self._pipeline = 0
        self._negated = False
        self._is_awaited = False  # a command must come
        self._functions: set[str] = set()
        self._variables: set[str] = set()

    def script(self) -> Script:
        """Read it all."""
        while self._at < len(self._tokens):
            self._command()
        if self._open or self._is_awaited:
            raise _Unsure
        return Script(tuple(self._commands), frozenset(self._functions), frozenset(self._variables))

    def _peek(self, ahead: int = 0) -> _Token:
        at = self._at + ahead
        return self._tokens[at] if at < len(self._tokens) else _END

    def _take(self) -> _Token:
        token = self._peek()
        self._at += 1
        return token

    def _command(self) -> None:
        """Read what stands where a command may begin."""
        token = self._take()
        if not token.is_word:
            self._operator(token)
        elif not self._compound(token):
            self._simple(token)

    def _compound(self, token: _Token) -> bool:
        """Read the word of a compound command; false where the token is none."""
        word = token.text
        if word in _OPENS:
            self._push(word, in_condition=_OPENS[word])
        elif word in _GOES_ON:
            self._go_on(*_GOES_ON[word], in_condition=word == "elif")
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
        """Begin a list."""
        self._start = self._pipeline = len(self._commands)
        self._is_awaited = True

    def _go_on(self, words: tuple[str, ...], was: bool, *, in_condition: bool) -> None:
        opened = self._open[-1] if self._open else None
        if opened is None or opened.word not in words or self._is_awaited:
            raise _Unsure
        if opened.in_condition is not was:
            raise _Unsure
        self._open[-1] = self._open[-1]._replace(in_condition=in_condition)
        self._begin()

    def _pop(self, *words: str) -> None:
        if not self._open or self._open[-1].word not in words:
            raise _Unsure
        if self._is_awaited or self._open[-1].in_condition:
            raise _Unsure
        opened = self._open.pop()
        self._start, self._pipeline = opened.start, opened.pipeline
        self._rest()

    def _negation(self) -> None:
        if self._at > 1 and self._tokens[self._at - 2].text in ("|", "|&"):
            raise _Unsure
        self._negated = self._is_awaited = True

    def _loop(self) -> None:
        """Read the head of `for`, up to its `do`."""
        self._push("for", in_condition=True)
        if not self._take().is_word:
            raise _Unsure
        self._skip_lines()
        is_list = self._peek().text == "in"
        while is_list and self._peek().is_word:
            self._take()
        if (is_list or self._peek().text == ";") and self._take().text not in (";", "\n"):
            raise _Unsure
        self._is_awaited = False

    def _skip_lines(self) -> None:
        while self._peek().text == "\n" and self._at < len(self._tokens):
            self._take()

    def _case(self) -> None:
        self._push("case")
        if not self._take().is_word:
            raise _Unsure
        self._skip_lines()
        if self._take().text != "in":
            raise _Unsure
        self._pattern()

    def _pattern(self) -> None:
        """Read a pattern of `case` up to its bracket, or the end of the `case`."""
        self._skip_lines()
        if self._peek().text == "esac":
            self._take()
            self._is_awaited = False
            self._pop("case")
            return
        if self._peek().text == "(":
            self._take()
        if not self._take().is_word:
            raise _Unsure
        while (token := self._take()).text != ")":
            if not token.is_word and token.text != "|":
                raise _Unsure
        self._begin()
        self._is_awaited = False

    def _esac(self) -> None:
        self._pop("case")

    def _test(self) -> None:
        """Read `[[ … ]]`, which has operators of its own."""
        while self._take().text != "]]":
            if self._at >= len(self._tokens):
                raise _Unsure
        self._rest()

    def _function(self) -> None:
        self._defined(self._take().text)

    def _defined(self, name: str) -> None:
        """Read up to the body of a function."""
        self._functions.add(name)
        if (self._peek().text, self._peek(1).text) == ("(", ")"):
            self._at += 2
        self._skip_lines()
        if self._peek().text not in ("{", "("):
            raise _Unsure
        self._is_awaited = True

    def _unknown(self) -> None:
        raise _Unsure

    def _operator(self, token: _Token) -> None:
        """Read an operator that stands where a command may begin."""
        if token.text == "(":
            if self._peek().text == "(":  # (( … )) of bash
                raise _Unsure
            self._push("(")
        elif token.text == ")":
            self._pop("(")
        elif token.text in _REDIRECTS:
            self._take()
        elif token.text in (";;", ";&", ";;&"):
            self._next_case()
        elif token.text != "\n":
            raise _Unsure

    def _next_case(self) -> None:
        if not self._open or self._open[-1].word != "case":
            raise _Unsure
        self._pattern()

    def _simple(self, token: _Token) -> None:
        assigned = _ASSIGNMENT.match(token.text)
        if assigned:
            self._variables.add(assigned[1])
            if self._peek().text == "(" and token.text.endswith("="):  # an array of bash
                while self._take().text != ")":
                    if self._at >= len(self._tokens):
                        raise _Unsure
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
        """Read up to where the next command may begin."""
        words: list[str] = []
        self._is_awaited = False
        while True:
            token = self._take()
            if token.is_word:
                if not of_command:
                    raise _Unsure
                words.append(token.text)
            elif token.text in _REDIRECTS:
                self._take()
            else:
                break
        if of_command:
            self._commands[-1] = self._commands[-1]._replace(words=tuple(words))
        self._joined(token.text)

    def _joined(self, operator: str) -> None:
        """Follow the operator behind a command."""
        if operator in ("|", "|&"):
            self._mark(self._pipeline, piped=True)
            self._is_awaited = True
            return
        if operator == "(":
            raise _Unsure
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
            self._at -= 1  # it is that of a compound command

    def _mark(self, start: int, *, piped: bool = False, guarded: bool = False) -> None:
        """Note of the commands from a number on how their failure is met."""
        for at in range(start, len(self._commands)):
            one = self._commands[at]
            self._commands[at] = one._replace(
                piped=one.piped or piped, guarded=one.guarded or guarded
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
