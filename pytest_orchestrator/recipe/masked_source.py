"""Source text of a recipe for excerpts in messages, without the lines that contain secrets.

A recipe with errors is not loaded, so the masker of the session does not know its secrets. A
value is secret if its key, or a key around it, has a secret name. A line with a part of such a
value is left out as a whole. Of invalid YAML each line from the first secret name on is left out,
because the end of the value is not known.
"""

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Final

from msgspec import Struct

from pytest_orchestrator.core.files import gc_paused
from pytest_orchestrator.core.json_values import Json
from pytest_orchestrator.core.location import Place
from pytest_orchestrator.core.mask_stream import MASK
from pytest_orchestrator.core.secrets import LEAST, Masker
from pytest_orchestrator.core.text import lazy_pattern
from pytest_orchestrator.core.typed_fields import InputField
from pytest_orchestrator.recipe.pyyaml import MappingNode, Node, ScalarNode, yaml

_WORDS: Final = (
    "token|secret|passw|credential|session|signature|cookie|(?:api|private)[-_]?key|authorization"
)
_SECRET = lazy_pattern(f"{_WORDS}|^auth$", re.IGNORECASE)
_MENTION = lazy_pattern(rf"(?:{_WORDS}|\bauth\b)[\w-]*", re.IGNORECASE)
_REFERENCES = lazy_pattern(r"\s*(?:context:\s+session|secrets:\s+\[[\w., ]*\])\s*")
"""Lines that mention secret names and certainly contain no secret."""
_HARMLESS = frozenset({"outputs", "measurements", "secrets"})
"""Keys whose values name secrets and do not contain them."""
_OF_FIELDS = frozenset(InputField.__struct_fields__) - {"default"}
_PLAIN = frozenset({"", "true", "false", "null", "~"})
_EXPRESSION = lazy_pattern(r"(?:\w+\s+)?\$\{\{.*\}\}")
_USER_INFO = lazy_pattern(r"(?<=://)[^\s/@\"'?#]+(?=@)")
_ASSIGNED = lazy_pattern(r"""(?:^|[?&\s"'])([\w.\-]+)=("[^"]*"|'[^']*'|[^\s&"'#,}\]]+)""")
_WORD = lazy_pattern(r"[^\s\"',:=\[\]{}]+")


class MaskedSource(Struct, frozen=True):
    """Text of a file without the lines that contain secrets.

    Attributes:
        text: The text; a mask stands for each line that is left out.
        hidden: Indexes of the lines that are left out.
        masker: Masks the secrets of the file in messages about it.
    """

    text: str
    hidden: frozenset[int]
    masker: Masker

    def place(self, place: Place) -> Place:
        """Return the position in this text of a position in the original."""
        if place.line - 1 not in self.hidden:
            return place
        line = self.text.splitlines()[place.line - 1]
        return Place(place.line, len(line) - len(MASK) + 1, len(MASK))

    def message(self, text: str) -> str:
        """Return a text without the secrets of the file, and without those in addresses."""
        for start, end in sorted(_in_addresses(text), reverse=True):
            text = f"{text[:start]}{MASK}{text[end:]}"
        return self.masker.text(text)


def masked_source(text: str, secrets: Sequence[Json] = ()) -> MaskedSource:
    """Return a text of a recipe without the lines that contain secrets.

    Args:
        text: The text, which may be invalid YAML.
        secrets: Further secret values that may stand in it.
    """
    masker = Masker()
    masker.add([*secrets])
    return _masked_source(text, masker.values)


@lru_cache(maxsize=16)
def _masked_source(text: str, secrets: tuple[str, ...]) -> MaskedSource:
    lines, values, hidden = text.splitlines(), [*secrets], set[int]()
    with gc_paused():
        root = _composed(text) if _MENTION.search(text) else None
        for node in _secret_scalars(root) if root is not None else ():
            # The last word of `Bearer abc` is the secret itself.
            values += [node.value, node.value.rpartition(" ")[2]]
            last = node.end_mark.line - (node.end_mark.column == 0)  # of a block scalar
            hidden.update(range(node.start_mark.line, last + 1))
    for number, line in enumerate(lines):
        mention = _MENTION.search(line)
        values += [line[start:end].strip("\"'") for start, end in _in_addresses(line)]
        if root is None and mention and not _REFERENCES.fullmatch(line):
            values += _WORD.findall(line, mention.end())
            hidden.update(range(number, len(lines)))
        elif mention and "#" in line[: mention.start()]:  # a value that was commented out
            hidden.add(number)
    masker = Masker()
    masker.add([each for each in dict.fromkeys(values) if len(each) >= LEAST])
    for number, line in enumerate(lines):
        if line and (number in hidden or any(_in_addresses(line)) or masker.spans(line)):
            hidden.add(number)
            lines[number] = line[: len(line) - len(line.lstrip())] + MASK
    return MaskedSource("\n".join(lines), frozenset(hidden), masker)


class _Composer(yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader):  # type: ignore[misc]
    """Composer of nodes whose tags nothing reads."""

    def resolve(self, *_: object) -> str:
        return ""


def _composed(text: str) -> Node | None:
    """Return the root of a YAML text; None if it is invalid, or no mapping and no list."""
    try:
        root: Node | None = _Composer(text).get_single_node()
    except (yaml.YAMLError, RecursionError, ValueError):
        return None
    return None if isinstance(root, ScalarNode) else root


def _secret_scalars(root: Node) -> Iterator[ScalarNode]:
    """Yield the scalars of a document whose own key, or a key around them, has a secret name."""
    todo, seen = [(root, False, False)], set[tuple[int, bool, bool]]()
    while todo:
        node, is_secret, is_harmless = todo.pop()
        if (id(node), is_secret, is_harmless) in seen:
            continue
        seen.add((id(node), is_secret, is_harmless))
        if isinstance(node, ScalarNode):
            is_value = node.value.lower() not in _PLAIN and not _EXPRESSION.fullmatch(node.value)
            if is_secret and is_value:
                yield node
        elif isinstance(node, MappingNode):
            is_secret = is_secret or any(map(_is_flag, node.value))
            for key, value in node.value:
                name = key.value if isinstance(key, ScalarNode) else ""
                todo.append((value, *_rule(name, is_secret, is_harmless)))
                if value.value == "" or not isinstance(key, ScalarNode):  # as in `auth: {bob}`
                    todo.append((key, is_secret, is_harmless))
        else:
            todo += [(each, is_secret, is_harmless) for each in node.value]


def _is_flag(pair: tuple[Node, Node]) -> bool:
    """Return True for `secret: true` of an input or of a field of a question."""
    key, value = pair
    return key.value == "secret" and isinstance(value, ScalarNode) and value.value.lower() == "true"


def _rule(name: str, is_secret: bool, is_harmless: bool) -> tuple[bool, bool]:
    """Return whether the value of a key is secret, and whether nothing in it is secret."""
    is_named = _SECRET.search(name) is not None and name != "secret"
    is_harmless = is_harmless or (name in _HARMLESS and not is_secret)
    is_secret = is_named or (is_secret and name not in _OF_FIELDS)
    return is_secret and not is_harmless, is_harmless


def _in_addresses(text: str) -> Iterator[tuple[int, int]]:
    """Yield the user-info of the addresses in a text, and what is assigned to secret names.

    These are parameters of addresses, and variables in command lines and in ``.env`` files.
    """
    for info in _USER_INFO.finditer(text):
        yield info.span()
    for pair in _ASSIGNED.finditer(text):
        if _SECRET.search(pair[1]) and "$" not in pair[2]:
            yield pair.span(2)
