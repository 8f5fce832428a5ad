"""In which quotes of a shell's command line something stands."""

import re

MARK = "\0"
"""Stands in a line for what is asked about; no command line has one of its own."""

PLAIN, DOUBLE, SINGLE = "plain", "double", "single"
LITERAL = "literal"
"""A here-document whose word is quoted."""
ARITHMETIC = "arithmetic"
ESCAPED = "escaped"
"""Behind a backslash."""

_DOCUMENT, _BRACE, _TICK, _GROUP, _CASE = "document", "brace", "tick", "group", "case"
_READ_AS = {_DOCUMENT: DOUBLE, _TICK: PLAIN, _GROUP: PLAIN, _CASE: PLAIN}
_BEGINS = re.compile(
    r"<<(?P<tabs>-?)[ \t]*(?:'(?P<a>[^'\n]+)'|\"(?P<b>[^\"\n]+)\"|\\(?P<c>[\w.-]+)|(?P<d>[\w.-]+))"
)
_CASE_BEGINS = re.compile(r"case\s")
_IN = re.compile(r"\sin\s|[;\n]|\Z")
_CASE_ENDS = re.compile(r"esac\b")


def contexts(line: str) -> list[str]:
    """Return what each mark of a line stands in.

    Args:
        line: A command line with marks.

    Returns:
        One of the words above for each mark. A here-document is `DOUBLE` too, where the shell
        replaces as in double quotes, and a comment `PLAIN`.
    """
    scan = _Scan(line)
    at = 0
    while at < len(line):
        at = scan.step(at)
    return scan.found


class _Stack:
    """The states that a place stands in, the innermost last.

    Attributes:
        state: The innermost.
        context: The way in which the shell reads what comes next.
    """

    def __init__(self) -> None:
        self.state = self.context = PLAIN
        self._below: list[tuple[str, str]] = []
        self._tick: int | None = None

    def __len__(self) -> int:
        return len(self._below) + 1

    def push(self, state: str) -> None:
        """Enter a state; within braces all is read as around them."""
        self._below.append((self.state, self.context))
        self.state = state
        if state != _BRACE:
            self.context = _READ_AS.get(state, state)

    def pop(self) -> None:
        """Leave the innermost state."""
        self.state, self.context = self._below.pop()

    def tick(self) -> None:
        """Enter backticks, or leave those that stand around this place and all within them."""
        if self._tick is None:
            self._tick = len(self)
            self.push(_TICK)
            return
        while len(self) > self._tick:
            self.pop()
        self._tick = None


class _Scan:
    """Follows the quotes of a line, each method from a place to the next one."""

    def __init__(self, line: str) -> None:
        self.found: list[str] = []
        self._line = line
        self._stack = _Stack()
        self._in: re.Match[str] | None = None
        self._awaited: list[tuple[str, str, bool]] = []
        self._ends: list[tuple[str, bool]] = []
        self._in_word = False

    def step(self, at: int) -> int:
        """Follow what stands at a place."""
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
        """Follow what means the same without quotes and in double ones."""
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
        """Follow what ends a state, or belongs to it alone."""
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
        """Tell whether `case`, something and `in` stand in one line; what is found is kept."""
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
        found = _BEGINS.match(self._line, at)
        if found is None:
            return at + 1
        word = found["a"] or found["b"] or found["c"] or found["d"]
        self._awaited.append((_DOCUMENT if found["d"] else LITERAL, word, bool(found["tabs"])))
        self._in_word = True
        return found.end()

    def _ended(self, at: int) -> int:
        """Return where a here-document has ended, or the place itself where it goes on."""
        end = self._line.find("\n", at)
        end = len(self._line) if end < 0 else end
        word, is_indented = self._ends[-1]
        said = self._line[at:end]
        if (said.lstrip("\t") if is_indented else said) != word:
            return at
        self._stack.pop()
        self._ends.pop()
        self._in_word = False
        return end
