"""Reader of the nested mappings of a step: retry, ready, outputs, measurements."""

import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from msgspec import Struct, structs

from pytest_orchestrator.core.errors import ContextKeyError
from pytest_orchestrator.core.figures.exact import LongDecimal, decimal, violated
from pytest_orchestrator.core.figures.notation import figure
from pytest_orchestrator.core.keys import checked_key
from pytest_orchestrator.recipe.expressions.expression import (
    OPENING,
    ExpressionError,
    Template,
    bare,
)
from pytest_orchestrator.recipe.expressions.names import AFTER, CONDITION
from pytest_orchestrator.recipe.fields.readers import Reading, fields_of, keys_of
from pytest_orchestrator.recipe.fields.values import FAILED
from pytest_orchestrator.recipe.model.measurements import (
    NUMERIC,
    LimitsError,
    Marginal,
    Measurement,
    Range,
    Uncertainty,
    Within,
    clear_range,
    limits_of,
)
from pytest_orchestrator.recipe.model.options import (
    Output,
    Ready,
    Retry,
    Search,
    checked_output,
)
from pytest_orchestrator.recipe.model.root_mappings import Sampling
from pytest_orchestrator.recipe.parsing.nodes import BROKEN, Pairs, is_decimal, pairs
from pytest_orchestrator.recipe.parsing.source import PLAIN, QUOTED
from pytest_orchestrator.recipe.problems import either, quoted, shortened, unknown_key
from pytest_orchestrator.recipe.pyyaml import MappingNode, Node, ScalarNode

_COMPARED: Final = (Measurement, Within, Marginal, Uncertainty, Sampling)
"""Models with limits, which are compared as they are written."""


def read_nested(
    model: type[Struct], node: Node, key: str, reading: Reading
) -> dict[str, Any] | None:
    """Read a nested mapping, such as ``retry`` of a step.

    Args:
        model: The Struct that the mapping becomes.
        node: Its node.
        key: The key of the mapping in messages, such as ``retry``.
        reading: Receives the problems; its path is the position of the mapping.

    Returns:
        The fields that are in the file, or None if a required field is missing.
    """
    key_nodes, hints, keys = reading.mapping(node, key), set(), keys_of(model)
    if key_nodes is None:
        return None

    def unknown(name: str, name_node: Node) -> None:
        hint = unknown_key(name, keys, reading.problems, exclude=key_nodes)
        hints.add(hint)
        head = f"unknown key {quoted(name)} in '{key}'"
        reading.problems.add(reading.values.place(name_node), head, reading.where, hint=hint)

    fields = fields_of(model, key_nodes, reading, unknown, f"{key}.")
    if model in _COMPARED:
        fields |= long_decimals(fields, key_nodes)
    for name, each in keys.items():
        if each.is_required and name not in key_nodes and f"did you mean '{name}'?" not in hints:
            head = f"'{key}' is missing '{name}'"
            reading.problems.add(reading.values.place(node), head, reading.where)
    if "at" in model.__struct_fields__:
        fields["at"] = {name: reading.values.place(value) for name, (_, value) in key_nodes.items()}
        fields["at"][""] = reading.values.place(node)
    required = [each.field for each in keys.values() if each.is_required]
    return fields if all(name in fields for name in required) else None


def long_decimals(fields: Mapping[str, Any], key_nodes: Pairs) -> dict[str, float]:
    """Return the numbers of some fields that floats do not keep, as the file has them."""
    numbers = {
        name: decimal(node.value)
        for name, (_, node) in key_nodes.items()
        if type(fields.get(name)) is float and type(node) is ScalarNode and is_decimal(node)
    }
    return {name: one for name, one in numbers.items() if type(one) is LongDecimal}


def outputs(node: Node, reading: Reading) -> tuple[Output, ...]:
    """Read the ``outputs`` of a step."""
    written: list[Output] = []
    for name, (name_node, value) in (reading.mapping(node, "outputs") or {}).items():
        key = _output_key(name, name_node, reading)
        if key is FAILED:
            continue
        inner = structs.replace(reading, path=("outputs", len(written), "value"))
        read = (_searched if _is_search(value) else _valued)(name, value, inner)
        if read is not FAILED:
            place, template = reading.values.place(value), None
            if type(key) is Template:
                template, key = key, key.text
            written.append(Output(key=key, value=read, place=place, key_template=template))
    return tuple(written)


def _output_key(name: str, node: Node, reading: Reading) -> Any:
    """Return a key of ``outputs``, or its template, or `FAILED` after a problem was reported."""
    key: Any = name
    if OPENING in name:
        key = reading.values.with_expressions.json(node)
        reading.templates.check(key, CONDITION, reading.problems, reading.where)
        if type(key) is not str:
            return key
    try:
        return checked_key(key)
    except ContextKeyError:
        should = "should be a key of the Context such as dut.serial_v1"
        return reading.report(node, "outputs", f" has the key {quoted(key)}, {should}")


def _is_search(node: Node) -> bool:
    return type(node) is MappingNode and node.tag != BROKEN and "from" in pairs(node)


def _searched(name: str, node: Node, reading: Reading) -> Any:
    title = f"outputs.{name}"
    fields = read_nested(Search, node, title, reading)
    if fields is None:
        return FAILED
    if "default" in fields:
        default = pairs(node)["default"][1]
        is_literal = OPENING not in str(fields["default"])  # otherwise checked at run time
        if not _report_bare(default, f"{title}.default", reading) and is_literal:
            try:
                checked_output(fields.get("type", "text"), fields["default"])
            except ValueError as error:
                reading.report(default, f"{title}.default", f" {error}")
    return Search(**fields)


def _valued(name: str, node: Node, reading: Reading) -> Any:
    if _report_bare(node, f"outputs.{name}", reading):
        return FAILED
    value = reading.values.with_expressions.json(node)
    if reading.values.templated:
        names = AFTER | reading.element_names | reading.unit_names
        reading.templates.check(value, names, reading.problems, reading.where)
        value = reading.templates.extract(value, *reading.path)
    return value


_BARE: Final = (
    r"(?:result|ctx)[.\[]|(?:stdout|stderr|exit_code)\b|(?:result|ctx)$"
    r"|(?:steps|vars|env|matrix)(?:\.\w+|\[[^]]*\])+$"
)
_BARE_ELEMENT: Final = r"(?:item|index)$|item(?:\.\w+|\[[^]]*\])+$"


def _report_bare(node: Node, title: str, reading: Reading) -> bool:
    """Report each text that is an expression without its braces; return True if there is one."""
    if isinstance(node, MappingNode):
        found = [_report_bare(one, title, reading) for _, one in pairs(node).values()]
        return any(found)
    if not isinstance(node, ScalarNode):
        found = [_report_bare(one, title, reading) for one in node.value]
        return any(found)
    text = node.value.strip()
    is_name = re.match(_BARE, text) or (reading.element_names and re.match(_BARE_ELEMENT, text))
    if node.tag not in (PLAIN, QUOTED) or OPENING in text or not is_name:
        return False
    try:
        bare(text, reading.values.place(node))
    except ExpressionError:
        return False
    shown = shortened(text)
    literal = "" if "'" in shown else f", or ${{{{ '{shown}' }}}} for this text"
    cure = f"write ${{{{ {shown} }}}}{literal}"
    reading.report(node, title, f" is the text {quoted(text)}, which reads as an expression", cure)
    return True


def read_struct(model: type[Struct], node: Node, reading: Reading) -> Struct | None:
    """Read a nested mapping of a step whose Struct needs no further checks.

    Args:
        model: The Struct that the mapping becomes.
        node: Its node.
        reading: Receives the problems; its path is the position of the mapping.

    Returns:
        The Struct, or None if a required key is missing.
    """
    fields = read_nested(model, node, str(reading.path[-1]), reading)
    return None if fields is None else model(**fields)


_INNER: Mapping[str, type[Struct]] = {"within": Within, "marginal": Marginal}
_RANGE = frozenset({*NUMERIC, "tolerance"})


def measurements(node: Node, reading: Reading) -> dict[str, Measurement]:
    """Read the ``measurements`` of a step."""
    measured: dict[str, Measurement] = {}
    for name, (name_node, value) in (reading.mapping(node, "measurements") or {}).items():
        if not reading.values.is_name(name, name_node):
            continue
        if not name.strip():
            reading.report(name_node, "measurements", " has an empty name")
            continue
        inner = structs.replace(reading, path=("measurements", name))
        one = _measurement(value, f"measurements.{name}", inner)
        if one is not None:
            measured[name] = one
    return measured


def _measurement(node: Node, title: str, reading: Reading) -> Measurement | None:
    problems, templates = len(reading.problems.found), len(reading.templates.found)
    fields = read_nested(Measurement, node, title, reading)
    if fields is None:
        return None
    key_nodes = pairs(node)
    if "uncertainty" in key_nodes:
        fields["uncertainty"] = uncertainty(key_nodes["uncertainty"][1], title, reading)
    for key in _INNER.keys() & fields["at"].keys():
        inner = structs.replace(reading, path=(*reading.path, key))
        of_key = read_nested(_INNER[key], key_nodes[key][1], f"{title}.{key}", inner)
        fields[key] = None if of_key is None else _INNER[key](**of_key)
    one = Measurement(**fields)
    if len(reading.problems.found) == problems:
        evaluated = frozenset(str(each.path[2]) for each in reading.templates.found[templates:])
        _Checks(one, node, title, reading, evaluated).check()
    return one


def uncertainty(
    node: Node, title: str, reading: Reading, name: str = "uncertainty"
) -> Uncertainty | None:
    """Read the key `uncertainty` of an entry: a number is the value of the mapping, with k = 2.

    Args:
        node: Its value.
        title: The name of the entry in messages.
        reading: Receives the problems; its path is the position of the entry.
        name: The key.

    Returns:
        None if a problem was reported.
    """
    title, before = f"{title}.{name}", len(reading.problems.found)
    inner = structs.replace(reading, path=(*reading.path, "uncertainty"))
    if type(node) is MappingNode:
        fields = read_nested(Uncertainty, node, title, inner) or {}
        parts = [key for key in ("value", "percent") if key in pairs(node)]
    else:
        own = MappingNode(node.tag, {"value": (node, node)}, node.start_mark, node.end_mark)
        fields = read_nested(Uncertainty, own, title, inner) or {}
        parts = ["value"]
    if len(reading.problems.found) > before:
        return None
    if not parts or all(fields.get(part, 1) == 0 for part in parts):
        reading.report(node, title, " should have a value or a percent above 0")
        return None
    return Uncertainty(**fields)


class _Checks:
    """Checks of the keys of one measurement that were all read.

    Args:
        one: The measurement.
        node: Its YAML mapping.
        title: Its name in messages.
        reading: Receives the problems.
        evaluated: The keys with expressions; their values are checked when the step runs.
    """

    def __init__(
        self, one: Measurement, node: Node, title: str, reading: Reading, evaluated: frozenset[str]
    ) -> None:
        self._one = one
        self._nodes = {key: value for key, (_, value) in pairs(node).items()}
        self._title = title
        self._reading = reading
        self._evaluated = evaluated

    def check(self) -> None:
        """Report keys that need or exclude others, and limits that no value can meet."""
        before = len(self._reading.problems.found)
        self._check_nominal()
        self._check_kinds()
        self._check_marginal()
        if len(self._reading.problems.found) == before:
            self._check_limits()

    def _check_nominal(self) -> None:
        for key, other, example in (("nominal", "tolerance", "1%"), ("tolerance", "nominal", "12")):
            if key in self._nodes and other not in self._nodes:
                self._report(key, f" needs '{other}'", f"write {other}: {example}")
        if "nominal" in self._nodes and "within" in self._nodes:
            self._report("nominal", " is a second range beside 'within'", "keep one of them")

    def _check_kinds(self) -> None:
        """Report limits of numbers beside limits of texts: no value meets both."""
        equals = self._one.equals if "equals" not in self._evaluated else None
        numeric = next((key for key in NUMERIC if key in self._nodes), None)
        textual = "matches" if "matches" in self._nodes else "equals"
        if numeric and (textual == "matches" or isinstance(equals, str)):
            tail = f" is for a text and '{numeric}' for a number, so no value meets both"
            self._report(textual, tail)
        if textual == "matches" and not isinstance(equals, str | None):
            self._report(
                "equals", " is no text, and 'matches' is for a text, so no value meets both"
            )

    def _check_marginal(self) -> None:
        if "marginal" not in self._nodes:
            return
        keys = pairs(self._nodes["marginal"]).keys()
        if not keys:
            self._report("marginal", " has no keys, should have low, high or percent")
        elif "percent" in keys and len(keys) > 1:
            self._report("marginal", " has 'percent' beside other keys", "keep one of them")
        elif not self._nodes.keys() & set(NUMERIC):
            self._report("marginal", f" needs a limit: {either(NUMERIC)}")

    def _check_limits(self) -> None:
        one = self._one
        low, high = (
            None if key in self._evaluated else getattr(one, key) for key in ("low", "high")
        )
        if low is not None and violated(low, None, high):
            self._report("low", " is above 'high'")
        elif not self._evaluated & _RANGE:
            try:
                limits = limits_of(one)
                self._check_equals(limits)
                if one.marginal is not None and "marginal" not in self._evaluated:
                    clear_range(one, limits)
            except LimitsError as error:
                self._report(error.key, f" can never hold: {error}")

    def _check_equals(self, limits: Range) -> None:
        """Report a required number that is outside of the limits."""
        equals: Any = self._one.equals
        if "equals" in self._evaluated or isinstance(equals, bool | str | list | dict | None):
            return
        side = violated(equals, *limits)
        if side:
            word, limit = ("below", limits[0]) if side == "low" else ("above", limits[1])
            shown = figure(limit or 0)
            self._report("equals", f" can never hold: it is {word} its {side} {shown}")

    def _report(self, key: str, tail: str, hint: str = "") -> None:
        self._reading.report(self._nodes[key], f"{self._title}.{key}", tail, hint)


READERS: Final[Mapping[str, Callable[[Node, Reading], Any]]] = {
    "retry": partial(read_struct, Retry),
    "ready": partial(read_struct, Ready),
    "outputs": outputs,
    "measurements": measurements,
}
"""The reader of each key of a step whose value is a mapping with keys of its own."""
