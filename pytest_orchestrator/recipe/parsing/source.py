"""YAML reader: file bytes to nodes with positions, and readable syntax errors.

libyaml parses the text. Its limits and those of this module are checked before nodes are built.
"""

import re
import stat
from codecs import BOM_UTF8
from pathlib import Path
from typing import NoReturn

from pytest_orchestrator.core.files import content
from pytest_orchestrator.core.location import Place
from pytest_orchestrator.core.text import lazy_pattern
from pytest_orchestrator.recipe.problems import Problems, Refused
from pytest_orchestrator.recipe.pyyaml import MappingNode, yaml

MAX_BYTES = 1 << 20
MAX_COPIES = 16
"""Largest text with all aliases followed, as a multiple of the largest file."""

MAX_NODES = 250_000
MAX_DEPTH = 100

# Tags of nodes that have none in the file. A plain scalar is interpreted only when its value is
# read: most are read once, those below `x-` never.
PLAIN = "plain"
QUOTED = "quoted"
SEQUENCE = "sequence"
MAPPING = "mapping"

_START = Place(1, 1)
_TOO_DEEP = f"more than {MAX_DEPTH} levels of nesting"
_CONTROL = lazy_pattern("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_WIDE = {
    b"\xff\xfe\x00\x00": "UTF-32",
    b"\x00\x00\xfe\xff": "UTF-32",
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
}


class _Limit(Exception):
    """Exception for a limit of recipes that is exceeded below the node `parent`."""

    def __init__(self, head: str, parent: yaml.Node | None) -> None:
        super().__init__(head)
        self.head = head
        self.parent = parent


class _Limited:
    """Mixin for a YAML composer: checks limits and chooses the tag of each node."""

    depth = 0
    count = 0

    def descend_resolver(self, parent: yaml.Node | None, _index: object) -> None:
        self.depth = depth = self.depth + 1
        self.count = count = self.count + 1
        if depth > MAX_DEPTH:
            raise _Limit(_TOO_DEEP, parent)
        if count > MAX_NODES:
            raise _Limit(f"the file has more than {MAX_NODES:,} nodes", parent)

    def ascend_resolver(self) -> None:
        self.depth -= 1

    def resolve(self, kind: type[yaml.Node], _value: object, implicit: tuple[bool, bool]) -> str:
        if kind is yaml.ScalarNode:
            return PLAIN if implicit[0] else QUOTED
        return SEQUENCE if kind is yaml.SequenceNode else MAPPING


class InPython(_Limited, yaml.SafeLoader):
    """PyYAML's own parser, about ten times slower, for a PyYAML without libyaml."""


if yaml.__with_libyaml__:

    class InC(_Limited, yaml.CSafeLoader):
        """libyaml's parser and PyYAML's composer, both in C."""

    composer: type[InC | InPython] = InC
else:  # pragma: no cover
    composer = InPython


def read_file(path: Path, max_bytes: int, problems: Problems) -> bytes:
    """Read a complete file; refuse a file above the size limit.

    Args:
        path: The file.
        max_bytes: The limit; a larger file is not opened.
        problems: Receives the reason if the file cannot be read.

    Returns:
        The content.

    Raises:
        Refused: The file is too large, no regular file, or cannot be read.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            _refuse(problems, "this is no regular file")
        if status.st_size <= max_bytes:
            return content(path, max_bytes)
        size = f"{status.st_size:,} bytes, above the limit of {max_bytes:,}"
        _refuse(problems, f"the file has {size}", hint="the ini key recipe_max_size sets it")
    except OSError as error:
        _refuse(problems, f"the file cannot be read: {error.strerror or error}")


def decoded(data: bytes, problems: Problems) -> str:
    """Decode the content of a file, without its byte order mark.

    Args:
        data: The content of the file.
        problems: Receives the problem, and the text for excerpts.

    Returns:
        The text.

    Raises:
        Refused: The file is not UTF-8.
    """
    wide = next((name for mark, name in _WIDE.items() if data.startswith(mark)), "")
    if not wide and b"\0" in data[:2]:
        wide = "UTF-16"
    if wide:
        _refuse(problems, f"the file is {wide}", hint="save it as UTF-8")
    try:
        problems.text = data.removeprefix(BOM_UTF8).decode()
    except UnicodeDecodeError as error:
        # `error.start` counts from `error.object`, which has no byte order mark.
        decoded_bytes, at = error.object, error.start
        problems.text = decoded_bytes.decode("utf-8", "replace")
        place = _place_after(decoded_bytes[:at].decode("utf-8"))
        _refuse(
            problems, f"byte 0x{decoded_bytes[at]:02X} is not UTF-8", place, hint="save it as UTF-8"
        )
    return problems.text


def compose(text: str, problems: Problems) -> yaml.Node | None:
    """Compose the single document of a text.

    Args:
        text: The complete text, without a byte order mark.
        problems: Receives the problem.

    Returns:
        The root node, or None if the text has only comments. A node without a tag in the text
        has the tag `PLAIN`, `QUOTED`, `SEQUENCE` or `MAPPING`.

    Raises:
        Refused: The text is no valid YAML, not one document, or above a limit.
    """
    try:
        root: yaml.Node | None = composer(text).get_single_node()
    except _Limit as limit:
        mark = limit.parent.start_mark if limit.parent else None
        _refuse(problems, limit.head, Place(mark.line + 1, mark.column + 1) if mark else _START)
    except yaml.reader.ReaderError:
        _refuse_controls(text, problems)
    except yaml.MarkedYAMLError as error:
        place, head, hint = explained(error, text)
        # libyaml reads ahead and may reach its own limit of 1,000 levels first.
        too_deep = "maximum nesting depth" in head
        _refuse(problems, _TOO_DEEP if too_deep else head, place, hint=hint)
    return root


def _refuse_controls(text: str, problems: Problems) -> NoReturn:
    # Some control characters end a line for `str.splitlines`, and none has a width for a caret.
    problems.text = _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)
    for match in _CONTROL.finditer(text):
        code = ord(match.group())
        escape = f"\\x{code:02X}" if code < 0x100 else f"\\u{code:04X}"
        problems.add(
            _place_after(problems.text[: match.start()]),
            f"the character U+{code:04X} may not stand in YAML",
            hint=f'write "{escape}" in double quotes if it is meant',
        )
        if len(problems.found) == 20:
            break
    raise Refused


def _place_after(text: str) -> Place:
    lines = f"{text}.".splitlines()
    return Place(len(lines), len(lines[-1]))


def _refuse(problems: Problems, head: str, place: Place = _START, *, hint: str = "") -> NoReturn:
    problems.add(place, head, hint=hint)
    raise Refused


_CURES = {
    "mapping values are not allowed": "quote a text that holds ': ', and check the indentation",
    "did not find expected key": "check the indentation and the quotes of the lines above",
    "did not find expected '-' indicator": "check the indentation",
    "could not find expected ':'": "write 'key: value', with a space after the colon",
    "found unexpected end of stream": "close the quote",
    "found unknown escape character": "in double quotes a backslash is written twice",
    "did not find expected ',' or ']'": "close the bracket, and quote a text that holds one",
    "did not find expected ',' or '}'": "close the brace, and quote a text that holds one",
    "found incompatible YAML document": "leave the %YAML line out",
}
_ODD_SPACE = lazy_pattern("(?m)^ *([\u00a0\u2007\u202f\u3000\u200b\ufeff])")
_QUOTE = "quote the whole text; braces, commas and colons in quotes are text"


def explained(error: yaml.MarkedYAMLError, text: str) -> tuple[Place, str, str]:
    """Explain why a text is no valid YAML.

    Args:
        error: The exception of the parser or composer.
        text: The text that it read.

    Returns:
        The place, the sentence, and the cure (may be empty).
    """
    mark = error.problem_mark or error.context_mark
    place = Place(mark.line + 1, mark.column + 1) if mark else Place(1, 1)
    problem, context = error.problem or "", error.context or ""
    char = _char(text, place)
    if context.startswith("expected a single document"):
        return place, "a second document begins here", "a file holds one document"
    if context.startswith("found duplicate anchor") and error.context_mark:
        first = error.context_mark.line + 1
        return place, f"the anchor is given twice, here and in line {first}", ""
    if problem.startswith("found undefined alias"):
        return place, "no anchor of this name stands above", "quote a text that begins with *"
    if (char == "\t" and "token" in problem) or "tab character" in problem:
        return place, "a tab cannot indent YAML", "use spaces"
    if odd := _ODD_SPACE.search(text):
        head = f"the character U+{ord(odd[1]):04X} is no space of YAML"
        return _place_after(text[: odd.start(1)]), head, "use spaces"
    if _follows_expression(text, place):
        return place, "YAML reads a part of this expression as its own syntax", _QUOTE
    if _follows_quote(text, place):
        return place, "a text continues after its closing quote", "quote the whole text"
    if "cannot start any token" in problem:
        return place, f"a text cannot begin with {char!r}", "quote it"
    return place, f"invalid YAML: {_sentence(error)}", _cure(problem)


def _follows_expression(text: str, place: Place) -> bool:
    """Return True if YAML interpreted a brace or a colon of an expression as syntax."""
    lines = text.splitlines()
    line = lines[place.line - 1] if place.line <= len(lines) else ""
    before = line[: place.column - 1]
    return line[place.column - 2 : place.column + 1] == "${{" or (
        "${{" in before and "}}" not in before.rpartition("${{")[2]
    )


def _follows_quote(text: str, place: Place) -> bool:
    """Return True if a text begins with a quoted word, which YAML reads as the complete text."""
    lines = text.splitlines()
    line = lines[place.line - 1] if place.line <= len(lines) else ""
    before, behind = line[: place.column - 1], line[place.column - 1 :].strip()
    quoted = re.search(r"(?:^|[:,\[{-])\s*(?:'[^']*'|\"[^\"]*\")\s*$", before)
    return bool(quoted and behind) and behind[0] not in "]},:"


def _sentence(error: yaml.MarkedYAMLError) -> str:
    problem = error.problem or error.context or "nothing more is known"
    if not error.context or not error.context_mark:
        return problem
    return f"{problem} {error.context} that begins in line {error.context_mark.line + 1}"


def _cure(problem: str) -> str:
    return next((cure for start, cure in _CURES.items() if problem.startswith(start)), "")


def _char(text: str, place: Place) -> str:
    lines = text.splitlines()
    if place.line > len(lines):
        return ""
    return lines[place.line - 1][place.column - 1 : place.column]


_ANYWHERE = lazy_pattern(r"\b(?:steps|test_meta)\b[\"']?\s*:")
_AT_ROOT = lazy_pattern(r"^([\"']?)(?:steps|test_meta)\1[ \t]*:(?:\s|$)", re.MULTILINE)


def looks_like_recipe(content: Path | str | bytes) -> bool:
    """Return True if a YAML file that pytest finds in a folder is meant as a recipe.

    Args:
        content: The file, its text or its bytes.

    Returns:
        True if the root has the key ``steps`` or ``test_meta``, even if the file has errors.
    """
    if isinstance(content, Path):
        try:
            content = read_file(content, MAX_BYTES, Problems())
        except Refused:
            return False
    text = content
    if isinstance(text, bytes):  # without the codec utf-8-sig, whose module takes longer to import
        text = text.removeprefix(BOM_UTF8).decode("utf-8", "replace")
    if _AT_ROOT.search(text):
        return True
    if not _ANYWHERE.search(text):
        return False
    try:
        root = compose(text, Problems())
    except Refused:
        return False
    return type(root) is MappingNode and any(
        key.value in {"steps", "test_meta"} for key, _ in root.value
    )
