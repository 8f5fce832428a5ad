"""From the bytes of a file to YAML nodes with their lines, composed once.

libyaml does the work; its limits and those of this file hold before anything is built.
"""

import re
import stat
from pathlib import Path
from typing import NoReturn

import yaml

from pytest_orchestrator.core.files import content
from pytest_orchestrator.core.location import Place
from pytest_orchestrator.recipe.problems import Problems, Refused
from pytest_orchestrator.recipe.syntax import explained

MAX_BYTES = 1 << 20
MAX_COPIES = 16
"""Times the largest file that its text may have once aliases are followed."""

MAX_NODES = 250_000
MAX_DEPTH = 100

# The tags that nodes get where the file gives none. What a plain scalar means is asked
# when it is read: most are, once, and those below `x-` never.
PLAIN = "plain"
QUOTED = "quoted"
SEQUENCE = "sequence"
MAPPING = "mapping"

_START = Place(1, 1)
_TOO_DEEP = f"more than {MAX_DEPTH} levels of nesting"
_CONTROL = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_WIDE = {
    b"\xff\xfe\x00\x00": "UTF-32",
    b"\x00\x00\xfe\xff": "UTF-32",
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
}


class _Limit(Exception):
    """More than a recipe may have, below the node `parent`."""

    def __init__(self, head: str, parent: yaml.Node | None) -> None:
        super().__init__(head)
        self.head = head
        self.parent = parent


class _Limited:
    """What a composer asks for each node: whether there is room for it, and its tag."""

    depth = 0
    count = 0

    def descend_resolver(self, parent: yaml.Node | None, _index: object) -> None:
        self.depth += 1
        self.count += 1
        if self.depth > MAX_DEPTH:
            raise _Limit(_TOO_DEEP, parent)
        if self.count > MAX_NODES:
            raise _Limit(f"the file has more than {MAX_NODES:,} nodes", parent)

    def ascend_resolver(self) -> None:
        self.depth -= 1

    def resolve(self, kind: type[yaml.Node], _value: object, implicit: tuple[bool, bool]) -> str:
        if kind is yaml.ScalarNode:
            return PLAIN if implicit[0] else QUOTED
        return SEQUENCE if kind is yaml.SequenceNode else MAPPING


class InPython(_Limited, yaml.SafeLoader):
    """PyYAML's own parser, some ten times slower, for where it was built without libyaml."""


if yaml.__with_libyaml__:

    class InC(_Limited, yaml.CSafeLoader):
        """libyaml's parser and PyYAML's composer, both in C."""

    composer: type[InC | InPython] = InC
else:  # pragma: no cover
    composer = InPython


def read(path: Path, max_bytes: int, problems: Problems) -> bytes:
    """Read a file that is no larger than it may be.

    Args:
        path: The file.
        max_bytes: The limit; a larger file is not opened.
        problems: Takes the reason where the file cannot be read.

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
    """The text of a file, without its byte order mark.

    Args:
        data: The content of the file.
        problems: Takes what is wrong, and the text for its excerpts.

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
        problems.text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        # The error counts from the object that it decoded, which has no mark any more.
        found, at = error.object, error.start
        problems.text = found.decode("utf-8", "replace")
        place = _place_after(found[:at].decode("utf-8"))
        _refuse(problems, f"byte 0x{found[at]:02X} is not UTF-8", place, hint="save it as UTF-8")
    return problems.text


def compose(text: str, problems: Problems) -> yaml.Node | None:
    """Compose the one document of a text.

    Args:
        text: The whole text, without a byte order mark.
        problems: Takes what is wrong.

    Returns:
        The root node, or None where there is nothing but comments. Nodes without a tag in
        the text have one of the tags above.

    Raises:
        Refused: The text is no YAML, not one document, or above a limit.
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
        # libyaml reads ahead, and may come to its own limit of 1,000 levels before.
        too_deep = "maximum nesting depth" in head
        _refuse(problems, _TOO_DEEP if too_deep else head, place, hint=hint)
    return root


def _refuse_controls(text: str, problems: Problems) -> NoReturn:
    # Some of them end a line for `str.splitlines`, and none has a width to put a caret under.
    problems.text = _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)
    for found in _CONTROL.finditer(text):
        code = ord(found.group())
        escape = f"\\x{code:02X}" if code < 0x100 else f"\\u{code:04X}"
        problems.add(
            _place_after(problems.text[: found.start()]),
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
