"""Comparison of two runs: outcomes, figures, measurements, Context, code."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from pytest_orchestrator.core.json_values import Json
from pytest_orchestrator.runs.compare.drift import ENOUGH, FACTOR, Drift, drifted
from pytest_orchestrator.runs.compare.history import FIGURES, MEASURED, figures_of, units_of
from pytest_orchestrator.runs.record import UNTOUCHED, RunRecord, StepRecord
from pytest_orchestrator.runs.summary import BAD, summary

Earlier = Callable[[str, str], Mapping[str, list[float]]]
"""Gives the earlier figures of a step, by the key of its recipe and its name."""

_WORSE = BAD | {"blocked", "interrupted"}


def compared(
    a: RunRecord, b: RunRecord, earlier: Earlier | None = None, factor: float = FACTOR
) -> dict[str, Any]:
    """Compare two runs.

    Args:
        a: The run that is compared with.
        b: The run that is looked at.
        earlier: Figures of runs before `b`; of a step that has too few, those of `a` alone count.
        factor: How many times what was usual a figure may be.

    Returns:
        Plain data: the two runs (`a`, `b`), and what differs: `outcomes`, `figures` and
        `measurements` (all that both have, each with `drifted`), `context`, `vars`, `code`,
        `environment`; and whether `b` is `worse`.
    """
    outcomes = list(_outcomes(a, b))
    figures = list(_figures(a, b, earlier or _none, factor))
    worse = any(one.pop("worse") for one in outcomes) or any(one["drifted"] for one in figures)
    return {
        "a": summary(a),
        "b": summary(b),
        "outcomes": outcomes,
        "figures": [one for one in figures if one["figure"] in FIGURES],
        "measurements": [one for one in figures if one["figure"] not in FIGURES],
        "context": list(context_difference(a, b)),
        "vars": list(_vars(a, b)),
        "code": list(_code(a, b)),
        "environment": list(_environment(a, b)),
        "worse": worse,
    }


def _none(*_: str) -> Mapping[str, list[float]]:
    return {}


def _steps(run: RunRecord) -> dict[tuple[str, str], StepRecord]:
    return {(one.recipe, one.name): one for one in run.steps if one.state not in UNTOUCHED}


def _outcomes(a: RunRecord, b: RunRecord) -> Iterator[dict[str, Any]]:
    before, after = _steps(a), _steps(b)
    for recipe, step in _each(before, after):
        was, now = before.get((recipe, step)), after.get((recipe, step))
        told = {"recipe": recipe, "step": step, "a": was and was.state, "b": now and now.state}
        if told["a"] != told["b"]:
            worse = told["b"] in _WORSE and told["a"] not in BAD
            reason = now.block["step"].get("reason") if now and now.block else None
            yield told | ({"reason": reason} if reason else {}) | {"worse": worse}


def _figures(
    a: RunRecord, b: RunRecord, earlier: Earlier, factor: float
) -> Iterator[dict[str, Any]]:
    before = _steps(a)
    for place, step in _steps(b).items():
        if place not in before:
            continue
        was, now, units = figures_of(before[place]), figures_of(step), units_of(step)
        known = earlier(*place) if now else {}
        for name in (one for one in was if one in now):
            what = name if name in FIGURES else ""
            figures = known.get(name, [])
            if len(figures) < ENOUGH:
                figures = [was[name]] * ENOUGH
            drift = drifted(now[name], figures, factor, what)
            yield {
                "recipe": step.recipe,
                "step": step.name,
                "figure": name.removeprefix(MEASURED),
                "unit": FIGURES.get(name) or units.get(name, ""),
                "a": was[name],
                "b": now[name],
                "drifted": drift is not None,
                **(_told(drift) if drift else {}),
            }


def _told(drift: Drift) -> dict[str, Json]:
    return {"factor": round(drift.factor, 3), "usual": drift.usual.median, "limit": drift.limit}


def context_difference(a: RunRecord, b: RunRecord) -> Iterator[dict[str, Any]]:
    """Tell of each key whose value at the end of two runs is another.

    Returns:
        For each ``key``, and ``scope`` where it is one of a recipe's own Context, the values
        ``a`` and ``b``; where it is not there the value is absent.
    """
    for scope in dict.fromkeys([*a.changes.scopes, *b.changes.scopes]):
        before, after = (_own(run, scope) for run in (a, b))
        for key in _each(before, after):
            sides = (("a", before), ("b", after))
            told = {name: values[key] for name, values in sides if key in values}
            if len(told) == 1 or told["a"] != told["b"] or type(told["a"]) is not type(told["b"]):
                yield {"key": key, **({"scope": scope} if scope else {}), **told}


def _own(run: RunRecord, scope: str) -> dict[str, Any]:
    """Return the values of a Context; of a recipe's own those that it wrote."""
    if scope not in run.changes.scopes:
        return {}
    values = run.changes.values(scope)
    return {key: value for key, value in values.items() if run.changes.last(key, scope)}


def _vars(a: RunRecord, b: RunRecord) -> Iterator[dict[str, Any]]:
    """Tell of each var of a recipe whose value, as it was given, is another."""
    for key in (one for one in b.recipes if one in a.recipes):
        before, after = (run.recipes[key].about.get("vars", {}) for run in (a, b))
        for name in _each(before, after):
            was, now = (told.get(name, {}).get("value") for told in (before, after))
            if was != now:
                yield {"recipe": key, "var": name, "a": was, "b": now}


def _code(a: RunRecord, b: RunRecord) -> Iterator[dict[str, Any]]:
    """Tell of each file that was not the same: recipes, and what their steps run."""
    before, after = _digests(a), _digests(b)
    for path in _each(before, after):
        if before.get(path) != after.get(path):
            yield {"path": path, "a": before.get(path), "b": after.get(path)}


def _digests(run: RunRecord) -> dict[str, str]:
    found: dict[str, str] = {}
    for recipe in run.recipes.values():
        if "sha256" in recipe.about:
            found[recipe.about["path"]] = recipe.about["sha256"]
        found |= recipe.digests
    return found


def _environment(a: RunRecord, b: RunRecord) -> Iterator[dict[str, Any]]:
    before, after = (_flat(run.started.environment if run.started else {}) for run in (a, b))
    for name in _each(before, after):
        if before.get(name) != after.get(name):
            yield {"name": name, "a": before.get(name), "b": after.get(name)}


def _flat(told: Mapping[str, Any], head: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in told.items():
        found |= _flat(value, f"{head}{name}.") if isinstance(value, dict) else {head + name: value}
    return found


def _each(a: Mapping[Any, Any], b: Mapping[Any, Any]) -> Iterable[Any]:
    return dict.fromkeys([*a, *b])
