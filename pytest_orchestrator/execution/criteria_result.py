"""The criterion on the result of a step: it keeps a JSON Schema."""

from collections.abc import Iterator

from pytest_orchestrator.core.place import Place
from pytest_orchestrator.core.result import Verdict
from pytest_orchestrator.execution.evidence import Evidence, verdict
from pytest_orchestrator.recipe.step_keys import Criterion


def result_schema(criterion: Criterion, evidence: Evidence) -> Iterator[Verdict]:
    """What the step returned, or said, keeps the schema."""
    schema = criterion.wanted if isinstance(criterion.wanted, dict) else {}
    found = evidence.searches.schema_errors(schema, evidence.ended.value, criterion.place)
    if "fault" in found:
        way, fault = found["fault"]
        where = f" in {'.'.join(map(str, way))}" if way else ""
        place = criterion.at.get("/".join(map(str, way)), criterion.place)
        yield verdict(criterion, f"no JSON Schema{where}: {fault}", place=place, errs=True)
        return
    if not found["rows"]:
        yield verdict(criterion)
        return
    yield verdict(
        criterion,
        "; ".join(found["rows"]),
        place=_place(criterion, found["way"]),
        measured=found["measured"],
    )


def _place(criterion: Criterion, way: list[str]) -> Place:
    """Return where the rule stands, or the reference that leads to it."""
    way = [*way]
    at = criterion.at
    if "/".join(way) in at:
        return at["/".join(way)]
    while way:  # what a reference leads to is told without it
        way.pop()
        for key in ("/".join([*way, "$ref"]), "/".join(way)):
            if key in at:
                return at[key]
    return criterion.place
