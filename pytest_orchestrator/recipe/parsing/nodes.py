"""Checks of YAML nodes: duplicate keys, expanding aliases, scalars.

After the check, the value of each mapping node is a dict from the text of a key to its two
nodes, with merge keys (``<<``) applied. Keys that could not be read are left out; a problem is
reported for each. Each node is checked once, however many aliases refer to it, and no node of a
checked document is deeper than `MAX_DEPTH`, so later code may recurse.

Plain scalars are read by the rules of YAML 1.2. PyYAML itself reads YAML 1.1, in which ``no``
is false, ``22:30`` is 1350, ``010`` is 8 and ``2024-01-01`` is a date.
"""

import math
from collections.abc import Iterator, Sequence
from typing import NoReturn

from pytest_orchestrator.core.location import Place
from pytest_orchestrator.core.text import lazy_pattern
from pytest_orchestrator.recipe.parsing.source import (
    MAPPING,
    MAX_BYTES,
    MAX_COPIES,
    MAX_DEPTH,
    MAX_NODES,
    PLAIN,
    QUOTED,
    SEQUENCE,
    compose,
)
from pytest_orchestrator.recipe.problems import Problems, Refused, lines, quoted, shortened
from pytest_orchestrator.recipe.pyyaml import MappingNode, Node, ScalarNode, SequenceNode

BROKEN = "broken"
"""The tag of a node whose problem is already reported and that must not be read."""

_CORE = "tag:yaml.org,2002:"
_SCALAR = frozenset(
    {PLAIN, QUOTED, *(_CORE + name for name in ("str", "int", "float", "bool", "null"))}
)
_COLLECTION: dict[type[Node], frozenset[str]] = {
    SequenceNode: frozenset({SEQUENCE, _CORE + "seq"}),
    MappingNode: frozenset({MAPPING, _CORE + "map"}),
}
_TEXT = frozenset({QUOTED, _CORE + "str"})
_OPEN = (0, 0, 0)
_WIDEST = 80
_WORD = lazy_pattern(r"[^\s:#,{}\[\]][^:#\n]*?(?=\s*(?:[:#\n]|$))|\S")

Pairs = dict[str, tuple[ScalarNode, Node]]


def place_of(node: Node, text: str) -> Place:
    """Return the place of a node in its file.

    Args:
        node: Any node.
        text: The complete text, without a byte order mark.

    Returns:
        Its place; a node of several lines is marked by its first word.
    """
    start, end = node.start_mark, node.end_mark
    if start.line == end.line and end.column > start.column:
        length = end.column - start.column
    else:
        near = start.index + _WIDEST
        word = None if type(node) is SequenceNode else _WORD.match(text, start.index, near)
        length = len(word.group()) if word else 1
    return Place(start.line + 1, start.column + 1, length)


def pairs(node: Node) -> Pairs:
    """Return the keys of a checked mapping node, each with its key node and value node."""
    found: Pairs = node.value
    return found


def nodes_of(
    node: Node, path: tuple[str | int, ...] = ()
) -> Iterator[tuple[tuple[str | int, ...], Node]]:
    """Yield a checked node and all nodes of values below it, each with its path.

    Args:
        node: The node.
        path: The path of the node: the keys and indexes that lead to it.
    """
    yield path, node
    if node.tag == BROKEN:
        return
    if type(node) is MappingNode:
        for name, (_, value) in pairs(node).items():
            yield from nodes_of(value, (*path, name))
    elif type(node) is SequenceNode:
        for at, value in enumerate(node.value):
            yield from nodes_of(value, (*path, at))


class Check:
    """Check of the nodes of one document.

    Args:
        text: The complete text, without a byte order mark.
        problems: Receives duplicate keys, keys that are no text, and unsupported tags.
        max_bytes: The size limit of the file; see `MAX_COPIES`.
    """

    def __init__(self, text: str, problems: Problems, max_bytes: int = MAX_BYTES) -> None:
        self._text = text
        self._problems = problems
        self._most = MAX_COPIES * max_bytes
        self._seen: dict[int, tuple[int, int, int]] = {}

    def visit(self, node: Node) -> tuple[int, int, int]:
        """Check a node and all nodes below it.

        An anchor stands before its aliases, so the target of an alias is already checked or is
        being checked: the recursion is no deeper than the nesting of the text.

        Args:
            node: A node as it was composed, or a node that was checked before.

        Returns:
            The number of nodes, the number of levels and the number of characters in scalars,
            all with aliases followed.

        Raises:
            Refused: An alias stands within its own anchor, or a limit is exceeded.
        """
        seen = self._seen.get(id(node))
        if seen is not None:
            if seen is _OPEN:
                self._refuse(node, "an alias within its own anchor has no end")
            return seen
        self._seen[id(node)] = _OPEN
        if node.tag not in _COLLECTION[type(node)]:
            self._tag(node)
        size = self._mapping(node) if type(node) is MappingNode else self._all(node, node.value)
        if size[1] > MAX_DEPTH:
            self._refuse(node, f"more than {MAX_DEPTH} levels of nesting, aliases followed")
        self._seen[id(node)] = size
        return size

    def _all(
        self, parent: Node, nodes: list[Node], keys: Sequence[Node] = ()
    ) -> tuple[int, int, int]:
        count, height = 1 + len(keys), 0
        size = sum([len(key.value) for key in keys if type(key) is ScalarNode])
        for node in nodes:
            if type(node) is ScalarNode:
                count += 1
                size += len(node.value)
                if node.tag not in _SCALAR:
                    self._tag(node)
            else:
                below, levels, letters = self.visit(node)
                count += below
                size += letters
                height = max(height, levels)
            # Checked in the loop: without it, merging alone could take minutes.
            if count > MAX_NODES:
                self._refuse(
                    parent, f"the file has more than {MAX_NODES:,} nodes, aliases followed"
                )
            if size > self._most:
                head = f"the file has more than {self._most:,} characters of text, aliases followed"
                self._refuse(parent, head)
        return count, height + 1, size

    def _mapping(self, node: MappingNode) -> tuple[int, int, int]:
        values = [value for _, value in node.value]
        size = self._all(node, values, keys=[key for key, _ in node.value])
        written: Pairs = {}
        before: Node | None = None
        is_next = False  # a second name begins a step whose dash is missing
        for key, value in node.value:
            if type(key) is not ScalarNode:
                self._problem(key, "a key is text, not a list or a mapping", self._braced(key))
            elif key.tag not in _SCALAR:
                self._tag(key)
            elif key.value in written:
                if not is_next:
                    self._twice(written[key.value][0], key)
                is_next |= key.value == "name" and key.start_mark.column > 0
            elif self._is_text(key, before if value.value == "" else None):
                written[key.value] = (key, value)
            before = value
        merge = written.get("<<")
        if merge and merge[0].tag == PLAIN:
            del written["<<"]
            for other in self._merged(merge[1]):
                for name, pair in pairs(other).items():
                    written.setdefault(name, pair)
        node.value = written
        return size

    def _braced(self, key: Node) -> str:
        """Return a hint if a key is the inner half of ``{{ x }}``; else an empty text."""
        begin, end = key.start_mark.index, key.end_mark.index
        if (
            type(key) is not MappingNode
            or any(value.value != "" for _, value in key.value)
            or not self._text.startswith("{{", begin - 1)
        ):
            return ""
        inner = shortened(self._text[begin + 1 : end - 1].strip())
        quote = "'" if '"' in inner else '"'
        return f"write {quote}${{{{ {inner} }}}}{quote}, in quotes, for an expression"

    def _merged(self, node: Node) -> list[Node]:
        parts = node.value if type(node) is SequenceNode else [node]
        good: list[Node] = [part for part in parts if type(part) is MappingNode]
        if len(good) < len(parts):
            self._problem(node, "'<<' merges a mapping or a list of mappings")
        return good

    def _is_text(self, key: ScalarNode, before: Node | None) -> bool:
        """Return True if a key is text; `before` is the value before a key that has no value."""
        if key.tag in _TEXT:
            return True
        if key.tag == PLAIN:
            try:
                if isinstance(plain(key.value), str):
                    return True
            except NotJsonScalar:
                pass
        cure = f"quote it: '{shortened(key.value)}'"
        if type(before) is ScalarNode and f"{before.value}{key.value}".isdigit():
            cure = f"a comma ends the number before it: write {before.value}.{key.value}"
        self._problem(key, "a key is text, not a number, true, false or null", cure)
        return False

    def _twice(self, first: Node, second: ScalarNode) -> None:
        where = lines(first.start_mark.line + 1, second.start_mark.line + 1)
        is_name = second.value == "name" and second.start_mark.column > 0
        hint = "a new step begins with '- '" if is_name else ""
        self._problem(second, f"the key {quoted(second.value)} is given twice, in {where}", hint)

    def _tag(self, node: Node) -> None:
        if node.tag != BROKEN:
            tag = node.tag.replace(_CORE, "!!")
            node.tag = BROKEN
            self._problem(node, f"the tag {shortened(tag)} is not supported here", "leave it out")

    def _problem(self, node: Node, head: str, hint: str = "") -> None:
        self._problems.add(place_of(node, self._text), head, hint=hint)

    def _refuse(self, node: Node, head: str) -> NoReturn:
        self._problem(node, head)
        raise Refused


Scalar = None | bool | int | float | str

_WORDS: dict[str, Scalar] = {
    "": None,
    "~": None,
    "null": None,
    "Null": None,
    "NULL": None,
    "true": True,
    "True": True,
    "TRUE": True,
    "false": False,
    "False": False,
    "FALSE": False,
}
_TYPES = {"int": int, "float": float, "bool": bool, "null": type(None)}
_NUMBER_BEGINS = frozenset("+-.0123456789")
_NUMBER_ENDS = frozenset("0123456789abcdefABCDEF.nN")
_OCTAL_OR_HEX = lazy_pattern(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = lazy_pattern(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_NOT_FINITE = lazy_pattern(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_LOWEST, _HIGHEST = -(2**63), 2**64 - 1
_DIGITS = 22
_LONGEST = 400  # characters of a decimal: comparisons are exact, and so their cost is bounded
_DIGIT = lazy_pattern("[1-9]")
"""Most digits of a number of 64 bits in base 8 or above; `int` refuses some thousand digits."""


def root_mapping(text: str, problems: Problems, max_bytes: int, wanted: str) -> MappingNode:
    """Compose a file, and return its root, which was checked with all nodes below it.

    Args:
        text: The text of the file.
        problems: Receives the problems.
        max_bytes: The largest size of the expanded file in bytes.
        wanted: What a file of that kind has, for the hint.

    Raises:
        Refused: The file is empty, or its root is no mapping.
    """
    root = compose(text, problems)
    if root is None or root.value == "":
        problems.add(Place(1, 1), "the file is empty", hint=wanted)
        raise Refused
    if type(root) is MappingNode:
        Check(text, problems, max_bytes).visit(root)
        return root
    kind = "a list" if type(root) is SequenceNode else "one text or number"
    problems.add(place_of(root, text), f"the file is {kind}, should be a mapping", hint=wanted)
    raise Refused


class NotJsonScalar(ValueError):
    """Error of a scalar whose value is invalid or no JSON value; the message says how to fix it."""


def plain(text: str) -> Scalar:
    """Convert the text of a scalar without quotes and without a tag to its value.

    Args:
        text: The scalar as YAML delivers it.

    Returns:
        None, a boolean, a number, or the text itself.

    Raises:
        NotJsonScalar: The number is not finite or has more than 64 bits.
    """
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in _NUMBER_BEGINS or text[-1] not in _NUMBER_ENDS:
        return text
    digits = text[1:] if text[0] in "+-" else text
    if digits.isascii() and digits.isdigit():
        return _whole(text, 10)
    if _OCTAL_OR_HEX.fullmatch(text):
        return _whole(text, 8 if text[1] == "o" else 16)
    if _FLOAT.fullmatch(text):
        return _finite(text)
    if _NOT_FINITE.fullmatch(text):
        raise NotJsonScalar(f"{text} is no number of JSON; use null, or quote it: '{text}'")
    return text


def tagged(text: str, tag: str) -> Scalar:
    """Convert the text of a scalar with an explicit tag, such as ``!!int 12``, to its value.

    Args:
        text: The scalar as YAML delivers it.
        tag: ``str``, ``int``, ``float``, ``bool`` or ``null``.

    Returns:
        The value; the tag ``float`` makes a float of a whole number.

    Raises:
        NotJsonScalar: The text has no value of that type, or JSON cannot store the value.
    """
    if tag == "str":
        return text
    value = plain(text)
    if tag == "float" and type(value) is int:
        return float(value)
    if type(value) is _TYPES[tag]:
        return value
    raise NotJsonScalar(f"{quoted(text)} is not what the tag !!{tag} says")


def _whole(text: str, radix: int) -> int:
    digits = text.lstrip("+-0ox")
    if len(digits) <= _DIGITS:
        number = int(digits or "0", radix) * (-1 if text[0] == "-" else 1)
        if _LOWEST <= number <= _HIGHEST:
            return number
    raise NotJsonScalar(f"{shortened(text)} does not fit into 64 bits; quote it to have it as text")


def is_decimal(node: ScalarNode) -> bool:
    """Return True if a checked scalar node is a decimal such as ``3.35`` or ``1e3``."""
    return node.tag == PLAIN and type(plain(node.value)) is float


def _finite(text: str) -> float:
    number = float(text)
    if len(text) > _LONGEST or (number == 0.0 and _DIGIT.search(text.lower().partition("e")[0])):
        raise NotJsonScalar(
            f"{shortened(text)} has more digits than a number keeps; quote it to have it as text"
        )
    if math.isfinite(number):
        return number
    raise NotJsonScalar(f"{shortened(text)} is too large for a number; quote it to have it as text")
