"""Reader of the station file: from its bytes to a frozen `Station`, or to all its problems."""

import hashlib
import json
import os
import re
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any, Final

from msgspec import Struct, structs

from pytest_orchestrator.core.figures.notation import factor
from pytest_orchestrator.core.files import path_text
from pytest_orchestrator.core.location import Place, Places
from pytest_orchestrator.recipe.fields.nested import read_nested, uncertainty
from pytest_orchestrator.recipe.fields.readers import Reading, fields_of, keys_of
from pytest_orchestrator.recipe.fields.values import FAILED, Templates, Values
from pytest_orchestrator.recipe.model import key_types
from pytest_orchestrator.recipe.model.measurements import Uncertainty
from pytest_orchestrator.recipe.parsing.nodes import BROKEN, Pairs, pairs, root_mapping
from pytest_orchestrator.recipe.parsing.source import (
    MAX_BYTES,
    decoded,
    looks_like_recipe,
    read_file,
)
from pytest_orchestrator.recipe.problems import (
    Problems,
    RecipeError,
    Refused,
    either,
    quoted,
    shortened,
)
from pytest_orchestrator.recipe.pyyaml import MappingNode, Node, ScalarNode, SequenceNode
from pytest_orchestrator.recipe.station.model import (
    InstrumentSettings,
    Laboratory,
    Station,
    simulation_of,
)

_WANTED: Final = "a station file has keys such as 'instruments'"
_FORM: Final = '{resource: "TCPIP::192.0.2.7::INSTR"}'
_EXAMPLES: Final[Mapping[str, object]] = {
    "vars": {"gain": 2},
    "hosts": {"dut": "root@192.0.2.20"},
    "resources": {"scope": 2},
}
_OTHER_WORDS: Final[Mapping[str, str]] = {
    **dict.fromkeys(("address", "visa", "resource_name", "port"), "resource"),
    **dict.fromkeys(("cleanup", "teardown", "finally", "off", "shutdown"), "safe"),
    **dict.fromkeys(("setup", "start", "reset"), "init"),
    **dict.fromkeys(("identity", "identification"), "idn"),
    **dict.fromkeys(("library", "driver"), "backend"),
    **dict.fromkeys(("baud", "speed"), "baud_rate"),
    **dict.fromkeys(("calibration", "calibration_date"), "calibrated"),
    **dict.fromkeys(("calibration_due", "due_date", "valid_until"), "due"),
    **dict.fromkeys(("variables", "env"), "vars"),
    **dict.fromkeys(("devices", "equipment"), "instruments"),
}
"""Words of other tools, each with the key that means the same."""


def load_station(path: Path, root: Path, max_bytes: int = MAX_BYTES) -> Station:
    """Read a station file without opening an instrument.

    Args:
        path: The file.
        root: The rootdir of pytest.
        max_bytes: A larger file is refused before it is read.

    Returns:
        The station.

    Raises:
        RecipeError: The file cannot be read or has errors; the exception has all problems.
    """
    identity = path_text(path.relative_to(root) if path.is_relative_to(root) else path)
    problems = Problems()
    try:
        data = read_file(path, max_bytes, problems)
        fields = _StationReader(decoded(data, problems), path, problems, max_bytes).fields()
    except Refused:
        raise RecipeError(problems.found, identity, problems.text) from None
    digest = hashlib.sha256(data).hexdigest()
    return Station(path=path, id=identity, text=problems.text, sha256=digest, **fields)


def looks_like_station(path: Path) -> bool:
    """Return True if a YAML file that is named as an argument is meant as a station file.

    Args:
        path: The file.

    Returns:
        True if the root has the key ``instruments`` and none of a recipe's ``steps``, even if the
        file has errors.
    """
    try:
        text = read_file(path, MAX_BYTES, Problems()).decode("utf-8-sig", "replace")
    except Refused:
        return False
    return bool(re.search(_INSTRUMENTS, text, re.MULTILINE)) and not looks_like_recipe(text)


_INSTRUMENTS: Final = r"^([\"']?)instruments\1[ \t]*:(?:\s|$)"


class _StationReader:
    """Reader of the content of one station file.

    Args:
        text: The complete text, without a byte order mark.
        path: The file; files of simulations are relative to it.
        problems: Receives the problems.
        max_bytes: The size limit of the file.
    """

    def __init__(self, text: str, path: Path, problems: Problems, max_bytes: int) -> None:
        self._text, self._problems, self._max_bytes = text, problems, max_bytes
        self._folder = path.absolute().parent
        self._values = Values(text, problems)
        self._reading = Reading(self._values, problems, "", Templates(), examples=_EXAMPLES)

    def fields(self) -> dict[str, Any]:
        """Return the fields of the station that come from its text.

        Raises:
            Refused: The file has a problem.
        """
        root = root_mapping(self._text, self._problems, self._max_bytes, _WANTED)
        nodes = {name: pair for name, pair in pairs(root).items() if not name.startswith("x-")}
        fields = self._fields_of(Station, nodes, "")
        if "laboratory" in nodes:
            fields["laboratory"] = self._laboratory(nodes["laboratory"][1])
        if "instruments" in nodes:
            fields["instruments"] = self._instruments(nodes["instruments"][1])
        if self._problems.found:
            raise Refused
        return fields | {"at": Places(dict(self._places(nodes)))}

    def _fields_of(self, model: type[Struct], nodes: Pairs, title: str) -> dict[str, Any]:
        """Read the keys of a mapping, and report those that do not exist."""
        keys = keys_of(model)

        def unknown(name: str, node: Node) -> None:
            place = f"'{title}'" if title else "the station file"
            hint = self._hint(name, keys, nodes)
            head = f"unknown key {quoted(name)} in {place}"
            self._problems.add(self._values.place(node), head, hint=hint)

        return fields_of(model, nodes, self._reading, unknown, f"{title}." if title else "")

    def _hint(self, name: str, keys: Mapping[str, Any], nodes: Pairs) -> str:
        if name in ("steps", "test_meta"):
            return "this looks like a recipe"
        near = self._problems.suggest(name, keys, exclude=nodes)
        word = _OTHER_WORDS.get(name.lower() if near else self._other_word(name), "")
        if word in keys:
            return f"'{word}' is there already" if word in nodes else f"did you mean '{word}'?"
        other = name if name in {*_OF_INSTRUMENTS, *keys_of(Station)} else word
        if not near and other in _OF_INSTRUMENTS:
            near = f"'{other}' is a key of an instrument, below 'instruments'"
        elif not near and other:
            near = f"'{other}' is a key of the station file, beside 'instruments'"
        return near or f"it may have {either([key for key in keys if key not in nodes] or keys)}"

    def _other_word(self, name: str) -> str:
        """Return the word of another tool that is the name of an unknown key, or is like it."""
        if name.lower() in _OTHER_WORDS:
            return name.lower()
        return (
            self._problems.suggest(name.lower(), _OTHER_WORDS).partition("'")[2].partition("'")[0]
        )

    def _instruments(self, node: Node) -> dict[str, InstrumentSettings]:
        if type(node) is not MappingNode or node.tag == BROKEN:
            kind = self._reading.kind(node)
            if kind:
                tail = f" is {kind}, should be a mapping"
                self._report(node, "instruments", tail, f"write instruments: {{psu: {_FORM}}}")
            return {}
        found: dict[str, InstrumentSettings] = {}
        for name, (name_node, value) in pairs(node).items():
            try:
                key_types.instrument(name)
            except ValueError as error:
                self._report(name_node, "instruments", f" has the key {quoted(name)}, {error}")
            one = self._instrument(name, value)
            if one is not None:
                found[name] = one
        return found

    def _instrument(self, name: str, node: Node) -> InstrumentSettings | None:
        title, before = f"instruments.{shortened(name)}", len(self._problems.found)
        if type(node) is not MappingNode or node.tag == BROKEN:
            kind = self._reading.kind(node)
            if kind:
                own = node.value if type(node) is ScalarNode and "::" in node.value else ""
                form = f"{{resource: {json.dumps(shortened(own))}}}" if own else _FORM
                tail = f" is {kind}, should be a mapping"
                self._report(node, title, tail, f"write {shortened(name)}: {form}")
            return None
        nodes = pairs(node)
        fields = self._fields_of(InstrumentSettings, nodes, title)
        if "resource" not in nodes and not self._is_renamed(nodes):
            self._problems.add(self._values.place(node), f"'{title}' is missing 'resource'")
        if "uncertainty" in nodes:
            fields["uncertainty"] = self._uncertainties(nodes["uncertainty"][1], title)
        for key in ("calibrated", "due"):
            if key in nodes:
                fields[key] = self._date(nodes[key][1], f"{title}.{key}")
        self._check_dates(fields, nodes, title)
        if "backend" in fields:
            fields["backend"] = self._backend(fields["backend"], nodes["backend"][1], title)
        if len(self._problems.found) > before:
            return None
        at = {"": self._values.place(node), **dict(self._places(nodes, "/"))}
        return InstrumentSettings(name=name, at=Places(at), **fields)

    def _laboratory(self, node: Node) -> Laboratory | None:
        fields = read_nested(Laboratory, node, "laboratory", self._reading)
        return None if fields is None else Laboratory(**fields)

    def _uncertainties(self, node: Node, title: str) -> dict[str, Uncertainty]:
        found: dict[str, Uncertainty] = {}
        title = f"{title}.uncertainty"
        if type(node) is not MappingNode or node.tag == BROKEN:
            kind = self._reading.kind(node)
            if kind:
                form = "uncertainty: {V: {value: 0.003, percent: 0.02}}"
                self._report(
                    node, title, f" is {kind}, should be a mapping by unit", f"write {form}"
                )
            return {}
        for unit, (unit_node, value) in pairs(node).items():
            templates = Templates()
            reading = structs.replace(self._reading, templates=templates)
            one = uncertainty(value, title, reading, unit)
            if templates.found:
                self._report(
                    value, f"{title}.{shortened(unit)}", " has an expression", "write a number"
                )
            elif any(same is not None for same in (factor(unit, other) for other in found)):
                self._report(unit_node, title, f" has the unit {quoted(unit)} twice, with prefixes")
            elif one is not None:
                found[unit] = one
        return found

    def _is_renamed(self, nodes: Pairs) -> bool:
        """Return True if another key was already reported as meant for `resource`."""
        hint, keys = "did you mean 'resource'?", keys_of(InstrumentSettings)
        return any(name not in keys and self._hint(name, keys, nodes) == hint for name in nodes)

    def _date(self, node: Node, title: str) -> date | None:
        """Read a day; YAML 1.2 has no dates, so a date without quotes is a text, too."""
        value = self._values.scalar(node) if type(node) is ScalarNode else None
        if value is FAILED or node.tag == BROKEN:
            return None
        if isinstance(value, str) and re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", value):
            try:
                return date.fromisoformat(value)
            except ValueError:
                self._report(node, title, f" is {quoted(value)}, no day of the calendar")
                return None
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        shown = str(value) if is_number else self._reading.kind(node)
        shown = quoted(value) if isinstance(value, str) else shown
        self._report(node, title, f" is {shown}, should be a day such as 2026-05-01")
        return None

    def _check_dates(self, fields: Mapping[str, Any], nodes: Pairs, title: str) -> None:
        calibrated, due = fields.get("calibrated"), fields.get("due")
        if calibrated and due and due < calibrated:
            tail = f" is {due}, before the calibration on {calibrated}"
            self._report(nodes["due"][1], f"{title}.due", tail)

    def _backend(self, backend: str, node: Node, title: str) -> str:
        """Return a backend with the absolute path of its simulation, which must exist."""
        file = simulation_of(backend)
        if not file:
            return backend
        path = Path(os.path.normpath(self._folder / file))
        if not path.is_file():
            wrong = "is a folder" if path.is_dir() else "does not exist"
            near = self._problems.suggest(path.name, _names(path.parent))
            hint = near or "the file is relative to the station file"
            tail = f" is {quoted(backend)}, and the file {path_text(path)} {wrong}"
            self._report(node, f"{title}.backend", tail, hint)
        return f"{path}@sim"

    def _places(self, nodes: Pairs, sign: str = ".") -> "list[tuple[str, Place]]":
        """Return the places of the values of keys and of the entries of their values."""
        found = []
        for name, (_, node) in nodes.items():
            found.append((name, self._values.place(node)))
            if type(node) is MappingNode and node.tag != BROKEN:
                entries = [(key, self._values.place(one)) for key, (_, one) in pairs(node).items()]
            elif type(node) is SequenceNode:
                entries = [(str(at), self._values.place(one)) for at, one in enumerate(node.value)]
            else:
                continue
            found += [(f"{name}{sign}{key}", place) for key, place in entries]
        return found

    def _report(self, node: Node, title: str, tail: str, hint: str = "") -> None:
        self._reading.report(node, title, tail, hint)


_OF_INSTRUMENTS: Final = frozenset(keys_of(InstrumentSettings))


def _names(folder: Path) -> list[str]:
    try:
        return sorted(one.name for one in folder.iterdir())
    except OSError:
        return []
