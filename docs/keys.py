"""Generator of the tables of keys in the pages of the reference, made from the model.

A page shows a table between the comments ``<!-- keys: NAME -->`` and ``<!-- end of keys -->``.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

import yaml
from msgspec import Struct
from msgspec.structs import fields

from pytest_orchestrator.core.typed_fields import InputField
from pytest_orchestrator.recipe.expressions import names
from pytest_orchestrator.recipe.expressions.expression import Expression
from pytest_orchestrator.recipe.fields.extensions import BUILT_IN
from pytest_orchestrator.recipe.fields.readers import Key, keys_of
from pytest_orchestrator.recipe.loader.include import UseStep
from pytest_orchestrator.recipe.model import key_types
from pytest_orchestrator.recipe.model.measurements import (
    Marginal,
    Measurement,
    Uncertainty,
    Within,
)
from pytest_orchestrator.recipe.model.options import (
    FileRules,
    Ready,
    Retry,
    Search,
)
from pytest_orchestrator.recipe.model.recipe import Defaults, Recipe
from pytest_orchestrator.recipe.model.root_mappings import (
    Requires,
    Sampling,
    Units,
    interval,
    unit_count,
    unit_name,
)
from pytest_orchestrator.recipe.model.step import (
    CodeStep,
    PythonStep,
    ShellStep,
    SshStep,
    Step,
)
from pytest_orchestrator.recipe.problems import either
from pytest_orchestrator.recipe.station import model as station
from pytest_orchestrator.recipe.station.model import InstrumentSettings, Station

REFERENCE = Path(__file__).parent / "reference"
_TABLE = re.compile(r"(<!-- keys: (.*?) -->\n).*?(<!-- end of keys -->)", re.DOTALL)

_HTTP = BUILT_IN.step_types["http"]


class _Section(NamedTuple):
    model: type[Struct]
    intro: str = ""
    without: type[Struct] | None = None


_SECTIONS = {
    "The file": _Section(Recipe),
    "`inputs`": _Section(InputField),
    "`requires`": _Section(Requires),
    "`units`": _Section(Units, "Either `count` or `names`."),
    "`defaults`": _Section(Defaults),
    "All steps": _Section(Step),
    "Python steps": _Section(PythonStep, "`class` or `function` is required.", Step),
    "Shell steps": _Section(ShellStep, without=Step),
    "Steps on other machines": _Section(SshStep, "The keys of shell steps, and:", ShellStep),
    "HTTP steps": _Section(_HTTP, "The keys of all steps, `isolation`, `heap`, and:", CodeStep),
    "Prompts": _Section(BUILT_IN.step_types["prompt"], without=CodeStep),
    "SCPI steps": _Section(BUILT_IN.step_types["scpi"], without=CodeStep),
    "Serial steps": _Section(BUILT_IN.step_types["serial"], without=CodeStep),
    "Steps that use a file": _Section(UseStep, without=Step),
    "`sampling`": _Section(Sampling),
    "`retry`": _Section(Retry),
    "`ready`": _Section(Ready),
    "`outputs`": _Section(Search),
    "`measurements`": _Section(Measurement),
    "`within`": _Section(Within),
    "`uncertainty`": _Section(
        Uncertainty, "`value`, `percent` or both. [Decision rules](decisions.md) explains them."
    ),
    "`marginal`": _Section(Marginal, "Either `percent`, or one or both of the others."),
    "`success`": _Section(BUILT_IN.of_type(_HTTP).success, "`code` is for HTTP steps only."),
    "`files`": _Section(FileRules),
    "station": _Section(Station),
    "`instruments`": _Section(InstrumentSettings),
}

_WHEN: Mapping[frozenset[str] | None, str] = {
    names.COLLECTED: "at collection",
    names.CONDITION: "before the first step",
    names.EARLY: "before the run",
    names.BEFORE: "before the step code",
    names.AFTER: "after the step code",
    names.TRIED: "after an attempt",
    None: "",
}


def _rule(hint: Any) -> Callable[[Any], Any] | None:
    metas = get_args(hint)[1:] if get_origin(hint) is Annotated else ()
    rules = [meta.extra["rule"] for meta in metas if meta.extra and "rule" in meta.extra]
    return rules[0] if rules else None


_DURATION = "seconds, or text such as `30s`"
_BY_RULE: Mapping[Any, str] = {
    _rule(key_types.StepName): "name of a step",
    _rule(key_types.Sha256): "64 hexadecimal digits",
    key_types.elements: "expression, or list",
    key_types.command: "command line, or list of texts",
    key_types.shell: "`sh`, `bash`, `python`, or list of texts",
    key_types.context_path: "key of the Context",
    key_types.digits: "1 to 17",
    key_types.dotted: "dotted name",
    key_types.exit_code: "exit code",
    key_types.exit_codes: "exit code, list of exit codes, or `nonzero`",
    key_types.factor: "number from 1 on",
    key_types.filled_word: "path",
    key_types.fixture: "name of a fixture",
    key_types.format_number: "`1`",
    key_types.identifier: "name",
    key_types.instrument: "name of an instrument",
    key_types.marginal_percent: "number above 0 and below 50",
    key_types.not_negative: "whole number from 0 on",
    key_types.pattern: "regular expression",
    unit_count: "1 to 64",
    unit_name: "name",
    key_types.patterns: "regular expression, or list of them",
    key_types.pause: _DURATION,
    key_types.percent: "number from 0 on",
    key_types.port: "1 to 65535",
    key_types.positive: "number above 0",
    interval: _DURATION,
    key_types.seconds: _DURATION,
    key_types.scpi: "command",
    key_types.secret: "name of a value",
    key_types.signal_name: "name of a signal",
    key_types.skip_codes: "exit code, or list of exit codes",
    key_types.tag: "marker",
    key_types.texts: "text, or list of texts",
    key_types.tolerance: "number, or text such as `1%`",
    key_types.tries: "1 to 1000",
    station.backend_name: "`@py`, `@ivi`, or a file and `@sim`",
    station.baud: "50 to 10000000",
    station.confirmation: "`none`, or a mapping of `query` and `matches`",
    station.termination: "characters",
}
_BY_FIELD: Mapping[str, str] = {
    "matrix": "mapping of lists by name",
    "inputs": "mapping of [inputs](recipes.md#inputs) by name",
    "choices": "list of values",
    "requires": "mapping of [keys](recipes.md#requirements)",
    "units": "mapping of [keys](recipes.md#units)",
    "serial": "mapping of [keys of an input](recipes.md#inputs)",
    "defaults": "mapping of [keys](recipes.md#defaults)",
    "steps": "list of [steps](steps.md#keys-of-all-steps)",
    "final": "list of [steps](steps.md#keys-of-all-steps)",
    "samplers": "mapping of [sampled values](criteria.md#sampling) by name",
    "retry": "mapping of [keys](steps.md#retry)",
    "ready": "mapping of [keys](processes.md#services)",
    "outputs": "mapping of values, or of [keys](steps.md#outputs), by keys of the Context",
    "measurements": "mapping of [measurements](criteria.md#measurements) by name",
    "within": "mapping of [keys](criteria.md#measurements)",
    "marginal": "mapping of [keys](criteria.md#marginal)",
    "uncertainty": "number, or mapping of [keys](criteria.md#uncertainty)",
    "success": "mapping of [criteria](criteria.md#success)",
    "files": "list of [entries](criteria.md#files)",
    "instruments": "mapping of [instruments](station.md#instruments) by name",
    "laboratory": "mapping of `name` and `address`",
    "resource": "text",
    "calibrated": "day",
    "due": "day",
    "result_schema": "JSON Schema",
    "default": "anything",
    "env": "mapping by name of an environment variable",
}
_BY_TYPE: Mapping[Any, str] = {
    Any: "anything",
    Expression: "expression",
    bool: "`true` or `false`",
    float: "number",
    int: "whole number",
    str: "text",
}
_PLURALS: Mapping[str, str] = {
    "`pass`, `fail` or `continue`": "`pass`, `fail`, `continue`",
    "command": "commands",
    "expression": "expressions",
    "key of the Context": "keys of the Context",
    "marker": "markers",
    "name of a fixture": "names of fixtures",
    "name of a step": "names of steps",
    "name of a value": "names of values",
    "name": "names",
    "path": "paths",
    "text": "texts",
}


def _kind(hint: Any) -> str:
    """Return the description of the values that a type allows."""
    rule = _rule(hint)
    if rule in _BY_RULE and rule is not None:
        return _BY_RULE[rule]
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Annotated:
        forms = [meta.extra["written"] for meta in inner[1:] if "written" in (meta.extra or {})]
        return _kind(forms[0] if forms else inner[0])
    if origin is Literal:
        return either(f"`{word}`" for word in inner)
    if origin is tuple:
        return f"list of {_PLURALS.get(_kind(inner[0]), 'these')}"
    if origin is dict:
        return "mapping"
    if origin in {Union, UnionType}:
        types = [each for each in inner if each is not NoneType]
        return ", or ".join(_kind(each) for each in types if each is not int or float not in types)
    return _BY_TYPE[hint]


class _Dumper(yaml.SafeDumper):
    """YAML dumper that uses double quotes for text that begins with a single quote."""


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    style = '"' if value.startswith("'") or not value.isprintable() else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)


def _example(name: str, value: Any) -> str:
    shown = yaml.dump(
        {name: value}, Dumper=_Dumper, default_flow_style=True, sort_keys=False, width=1000
    )
    return shown.strip().removeprefix("{").removesuffix("}")


def _rows(section: _Section) -> Iterator[str]:
    hints = {field.encode_name: field.type for field in fields(section.model)}
    if section.model is Step:
        meaning = "**Required**, except with `use`. The type of the step.<br>`type: python`"
        yield f"| `type` | {either(f'`{name}`' for name in BUILT_IN.step_types)} | {meaning} |"
    inherited = keys_of(section.without) if section.without else {}
    for name, key in keys_of(section.model).items():
        if name not in inherited or inherited[name].meta != key.meta:
            cells = [f"`{name}`", _kind_of(key, hints[name]), _meaning(name, key)]
            yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _kind_of(key: Key, hint: Any) -> str:
    is_own = key.reader is None and "written" not in (key.meta.extra or {})
    return _BY_FIELD[key.field] if is_own or key.field in _BY_FIELD else _kind(hint)


def _meaning(name: str, key: Key) -> str:
    required = "**Required.** " if key.is_required else ""
    example = (key.meta.examples or [])[0]
    when = f"<br>Expressions: {_WHEN[key.names]}." if key.names else ""
    return f"{required}{key.meta.description}<br>`{_example(name, example)}`{when}"


def _names() -> Iterator[str]:
    """Yield the rows of the table of names: each time adds names to those of the one before."""
    before: frozenset[str] = frozenset()
    for allowed, when in _WHEN.items():
        if allowed is not None:
            added = ", ".join(f"`{name}`" for name in sorted(allowed - before))
            yield f"| {when} | {f'these, and {added}' if before else added} |"
            before = allowed


def _table(name: str) -> list[str]:
    """Return the lines of the table with this name, with its introduction."""
    if name == "names":
        return ["| evaluated | names |", "| --- | --- |", *_names()]
    section = _SECTIONS[name]
    lines = [section.intro, ""] if section.intro else []
    return [*lines, "| key | value | meaning |", "| --- | --- | --- |", *_rows(section)]


def updated(page: str) -> str:
    """Return the text of a page with its tables made anew."""

    def made(match: re.Match[str]) -> str:
        return "\n".join([match[1], *_table(match[2]), "", match[3]])

    return _TABLE.sub(made, page)


if __name__ == "__main__":
    for path in REFERENCE.glob("*.md"):
        text = path.read_text(encoding="utf-8")
        if updated(text) != text:
            path.write_text(updated(text), encoding="utf-8")
