"""Comparison of two runs: outcomes, figures, measurements, Context, code."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from pytest_orchestrator.core.json_values import Json
from pytest_orchestrator.runs.history.drift import FACTOR, Drift, Value, drift_of
from pytest_orchestrator.runs.history.model import FIGURES, MEASURED, figures_of, precisions_of
from pytest_orchestrator.runs.record import NOT_REACHED, RunRecord, StepRecord
from pytest_orchestrator.runs.summary import outcomes, summary
from pytest_orchestrator.runs.verdicts import BAD, NOT_GOOD, Outcome

Earlier = Callable[[str, str], Mapping[str, Sequence[Value]]]
"""Callback that returns the earlier figures of a step, by key of its recipe and its name."""

_LAST: Final = 10
"""Number of the last runs with which durations and memory are compared."""
_WORSE = NOT_GOOD | {"blocked"}


def compare_runs(
    a: RunRecord, b: RunRecord, earlier: Earlier | None = None, factor: float = FACTOR
) -> dict[str, Any]:
    """Compare two runs.

    Args:
        a: The run with which `b` is compared.
        b: The run that is compared.
        earlier: Returns figures of runs before `b`; a figure with too few earlier values is
            compared with its value in `a` alone.
        factor: Highest ratio of a figure to its median in the baseline that is no drift.

    Returns:
        Plain data: the two runs (`a`, `b`), and their differences: `outcomes`, `figures` and
        `measurements` (all that both runs have, each with `drifted`), `context`, `vars`, `code`,
        `environment`; and `worse`, which is true if `b` is worse than `a`.
    """
    differing = list(_outcomes(a, b))
    figures = list(_figures(a, b, earlier, factor))
    worse = any(one.pop("worse") for one in differing) or any(one["drifted"] for one in figures)
    return {
        "a": summary(a),
        "b": summary(b),
        "outcomes": differing,
        "figures": [one for one in figures if one["figure"] in FIGURES],
        "measurements": [one for one in figures if one["figure"] not in FIGURES],
        "context": list(context_difference(a, b)),
        "vars": list(_vars(a, b)),
        "code": list(_code(a, b)),
        "environment": list(_environment(a, b)),
        "worse": worse,
    }


def _steps(run: RunRecord) -> dict[tuple[str, str], StepRecord]:
    return {(one.recipe, one.name): one for one in run.steps if one.state not in NOT_REACHED}


def _states(run: RunRecord) -> dict[tuple[str, str], Outcome]:
    """Return the steps, and the safe states that were not reached."""
    recipes = run.recipes.items()
    return {(key, one.name): one for key, recipe in recipes for one in outcomes(recipe)}


def _outcomes(a: RunRecord, b: RunRecord) -> Iterator[dict[str, Any]]:
    before, after, steps = _states(a), _states(b), _steps(b)
    for recipe, step in _each(before, after):
        was, now = before.get((recipe, step)), after.get((recipe, step))
        states = {"recipe": recipe, "step": step, "a": was and was.state, "b": now and now.state}
        if states["a"] != states["b"]:
            worse = states["b"] in _WORSE and states["a"] not in BAD
            reason = steps[recipe, step].reason if (recipe, step) in steps else now and now.reason
            yield states | ({"reason": reason} if reason else {}) | {"worse": worse}


def _figures(
    a: RunRecord, b: RunRecord, earlier: Earlier | None, factor: float
) -> Iterator[dict[str, Any]]:
    before = _steps(a)
    for key, step in _steps(b).items():
        if key not in before:
            continue
        was, now = _values(before[key]), _values(step)
        by_name = earlier(*key) if now and earlier else {}
        precisions, near = precisions_of(step), _marginal(step)
        for name in (one for one in was if one in now):
            past, enough = by_name.get(name, ()), None
            if len(past) < now[name].enough:
                past, enough = [was[name]], 1
            drift = drift_of(now[name], past, name, factor, last=_LAST, enough=enough)
            yield {
                "recipe": step.recipe,
                "step": step.name,
                "figure": name.removeprefix(MEASURED),
                "unit": now[name].unit,
                "a": was[name].number,
                "b": now[name].number,
                "drifted": drift is not None,
                **({"precision": precisions[name]} if name in precisions else {}),
                **({"marginal": True} if name in near else {}),
                **(_drift_fields(drift) if drift else {}),
            }


def _values(step: StepRecord) -> dict[str, Value]:
    from pytest_orchestrator.runs.block import measurements_of

    measured = {MEASURED + one.name: one for one in measurements_of(step.block)}
    return {
        name: Value.of(number, measured[name]) if name in measured else Value(number, FIGURES[name])
        for name, number in figures_of(step).items()
    }


def _marginal(step: StepRecord) -> set[str]:
    """Return the figures of the measurements that pass but are near a limit."""
    from pytest_orchestrator.runs.block import measurements_of

    measured = measurements_of(step.block)
    return {MEASURED + one.name for one in measured if one.marginal}


def _drift_fields(drift: Drift) -> dict[str, Json]:
    found: dict[str, Json] = {"usual": drift.baseline.median, "limit": drift.limit}
    return {**size_of(drift), **found, "size": drift.text}


def size_of(drift: Drift) -> dict[str, Json]:
    """Return the size of a drift as plain data, rounded; a size that does not exist is absent."""
    sizes = {"deviations": drift.deviations, "share": drift.share}
    if not drift.is_measured:
        sizes = {"factor": drift.factor}
    return {name: round(size, 4) for name, size in sizes.items() if size is not None}


def context_difference(a: RunRecord, b: RunRecord) -> Iterator[dict[str, Any]]:
    """Yield the keys whose values at the end of two runs differ.

    Returns:
        For each the ``key``, its ``scope`` if it is in a recipe's own Context, and the values
        ``a`` and ``b``; a value is absent if the run does not have the key.
    """
    for scope in dict.fromkeys([*a.changes.scopes, *b.changes.scopes]):
        before, after = (_own(run, scope) for run in (a, b))
        for key in _each(before, after):
            sides = (("a", before), ("b", after))
            values = {name: side[key] for name, side in sides if key in side}
            if (
                len(values) == 1
                or values["a"] != values["b"]
                or type(values["a"]) is not type(values["b"])
            ):
                yield {"key": key, **({"scope": scope} if scope else {}), **values}


def _own(run: RunRecord, scope: str) -> dict[str, Any]:
    """Return the values that a run wrote in the Context of a scope; empty if it has none."""
    if scope not in run.changes.scopes:
        return {}
    values = run.changes.values(scope)
    return {key: value for key, value in values.items() if run.changes.last(key, scope)}


def _vars(a: RunRecord, b: RunRecord) -> Iterator[dict[str, Any]]:
    """Yield the vars of recipes whose values differ between two runs."""
    for key in (one for one in b.recipes if one in a.recipes):
        before, after = (_vars_values(run.recipes[key].about.get("vars", {})) for run in (a, b))
        for name, was, now in differences(before, after):
            yield {"recipe": key, "var": name, "a": was, "b": now}


def _vars_values(given: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    return {name: one.get("value") for name, one in given.items()}


def _code(a: RunRecord, b: RunRecord) -> Iterator[dict[str, Any]]:
    """Yield the recipe files and the files run by steps whose digests differ between two runs."""
    for path, was, now in differences(_digests(a), _digests(b)):
        yield {"path": path, "a": was, "b": now}


def _digests(run: RunRecord) -> dict[str, str]:
    digests: dict[str, str] = {}
    for recipe in run.recipes.values():
        if "sha256" in recipe.about:
            digests[recipe.about["path"]] = recipe.about["sha256"]
        digests |= recipe.digests
    return digests


def _environment(a: RunRecord, b: RunRecord) -> Iterator[dict[str, Any]]:
    before, after = (flat(run.started.environment if run.started else {}) for run in (a, b))
    for name, was, now in differences(before, after):
        yield {"name": name, "a": was, "b": now}


def differences(a: Mapping[str, Any], b: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """Yield the keys whose values differ, each with both values; None for a missing key."""
    for name in _each(a, b):
        if a.get(name) != b.get(name):
            yield name, a.get(name), b.get(name)


def flat(nested: Mapping[str, Any], head: str = "") -> dict[str, Any]:
    """Return a mapping without nested ones: the keys of these are joined by dots."""
    values: dict[str, Any] = {}
    for name, value in nested.items():
        values |= flat(value, f"{head}{name}.") if isinstance(value, dict) else {head + name: value}
    return values


def _each(a: Mapping[Any, Any], b: Mapping[Any, Any]) -> Iterable[Any]:
    return dict.fromkeys([*a, *b])
