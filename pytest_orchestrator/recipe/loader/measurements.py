"""Reader of the `measurements` of a step, and checks of their limits."""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct, structs

from pytest_orchestrator.core.figures.exact import violated
from pytest_orchestrator.core.figures.notation import figure
from pytest_orchestrator.recipe.fields.readers import Reading
from pytest_orchestrator.recipe.loader.nested import read_nested
from pytest_orchestrator.recipe.model.limits import (
    NUMERIC,
    LimitsError,
    Range,
    clear_range,
    limits_of,
)
from pytest_orchestrator.recipe.model.options import Marginal, Measurement, Within
from pytest_orchestrator.recipe.parsing.nodes import pairs
from pytest_orchestrator.recipe.problems import either
from pytest_orchestrator.recipe.pyyaml import Node

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
    for key in _INNER.keys() & fields["at"].keys():
        inner = structs.replace(reading, path=(*reading.path, key))
        of_key = read_nested(_INNER[key], key_nodes[key][1], f"{title}.{key}", inner)
        fields[key] = None if of_key is None else _INNER[key](**of_key)
    one = Measurement(**fields)
    if len(reading.problems.found) == problems:
        evaluated = frozenset(str(each.path[2]) for each in reading.templates.found[templates:])
        _Checks(one, node, title, reading, evaluated).check()
    return one


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
