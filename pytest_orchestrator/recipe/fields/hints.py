"""Hints for wrong keys and values: words of other tools, allowed keys, forms of mappings."""

import json
from collections.abc import Collection, Mapping
from typing import Final

from pytest_orchestrator.recipe.problems import Problems, either

OTHER_WORDS: Final[Mapping[str, str]] = {
    **dict.fromkeys(("run", "script", "command"), "cmd"),
    **dict.fromkeys(("depends_on", "requires"), "needs"),
    **dict.fromkeys(("when", "condition"), "if"),
    **dict.fromkeys(("always", "teardown", "cleanup", "finally"), "finally"),
    **dict.fromkeys(("ignore_errors", "allow_failure", "continue-on-error"), "continue_on_error"),
    **dict.fromkeys(("values", "options"), "choices"),
    "float": "number",
    "int": "integer",
    "str": "string",
    "enum": "string",
    "bool": "boolean",
    **dict.fromkeys(("status_code", "status"), "code"),
    "register": "outputs",
    "environment": "env",
    **dict.fromkeys(("expect", "assert"), "success"),
    **dict.fromkeys(("loop", "with_items", "for"), "foreach"),
    "working-directory": "cwd",
    "timeout-minutes": "timeout",
    **dict.fromkeys(("stages", "tasks", "jobs"), "steps"),
    "parallel": "matrix",
    "services": "background",
    **dict.fromkeys(("min", "lower", "lsl"), "low"),
    **dict.fromkeys(("max", "upper", "usl"), "high"),
    "tol": "tolerance",
    **dict.fromkeys(("target", "expected"), "nominal"),
}
"""Words of other tools, each with the key or type that means the same."""

_ELSEWHERE: Final[Mapping[str, str]] = {
    "finally": "'finally' is a key of the recipe, beside 'steps'",
    "background": "a service is a step with `background: true`",
}
"""Keys that may not stand at the place of such a word, each with its own place."""

_FORMS: Final[Mapping[str, str]] = {
    "retry": "{attempts: 3}",
    "ready": "{port: 8080}",
    "success": "{stdout_contains: PASS}",
    "outputs": '{dut.serial_v1: "${{ result.serial }}"}',
    "measurements": "{ripple: {value: result.ripple_mv, high: 50}}",
    "within": "{of: 12.0, percent: 5}",
    "marginal": "{percent: 10}",
    "params": "{message: Hi}",
    "env": "{MESSAGE: Hi}",
    "args": "{MESSAGE: Hi}",
    "vars": "{gain: 2}",
    "with": "{volts: 12}",
    "matrix": "{gain: [1, 2]}",
    "defaults": "{timeout: 30s}",
    "test_meta": "{tester: your name}",
    "resources": "{scope: 1}",
    "result_schema": "{properties: {ripple: {type: number}}}",
    "requires": "{programs: [dfu-util]}",
    "sampling": '{case: {cmd: "psu measure --temperature", every: 1s, high: 85}}',
}
"""For each key whose value is a mapping, a value as it may stand in a recipe."""

_ENTRIES: Final[Mapping[str, str]] = {
    "measurements": "{value: result.ripple_mv, high: 50}",
    "sampling": '{cmd: "psu measure --temperature", every: 1s, high: 85}',
}
"""For each key whose value is a mapping of named mappings, one of these."""


def unknown_key(
    name: str, known: Collection[str], problems: Problems, *, exclude: Collection[str] = ()
) -> str:
    """Return the hint for a key that does not exist: the right key, or all keys that may stand.

    Args:
        name: The unknown key.
        known: The keys that may stand in its place.
        problems: Limits the number of comparisons in one file.
        exclude: Keys that are in the file already.
    """
    word = OTHER_WORDS.get(name, "")
    if word in known:
        return f"'{word}' is there already" if word in exclude else f"did you mean '{word}'?"
    if word in _ELSEWHERE:
        return _ELSEWHERE[word]
    near = problems.suggest(name, known, exclude=exclude)
    return near or f"it may have {either([key for key in known if key not in exclude] or known)}"


def form_like(key: str, example: object) -> str:
    """Return the hint with the form of a key by an example; empty if that has no keys."""
    return f"write {key}: {_flow(example)}" if example and isinstance(example, dict) else ""


def _flow(value: object) -> str:
    """Return a value as YAML in one line; texts that need quotes have them."""
    if isinstance(value, dict):
        return f"{{{', '.join(f'{name}: {_flow(one)}' for name, one in value.items())}}}"
    is_plain = isinstance(value, str) and value.isidentifier()
    return str(value) if is_plain else json.dumps(value, ensure_ascii=False)


def form_of(key: str) -> str:
    """Return the hint with the form of a key whose value is a mapping; else an empty text.

    Args:
        key: The key as messages show it, such as ``defaults.retry`` or ``measurements.ripple``.
    """
    root, _, entry = key.partition(".")
    is_entry = root in _ENTRIES and entry and entry.rpartition(".")[2] not in ("within", "marginal")
    name = entry if is_entry else key.rpartition(".")[2]
    form = _ENTRIES[root] if is_entry else _FORMS.get(name, "")
    return f"write {name}: {form}" if form else ""
