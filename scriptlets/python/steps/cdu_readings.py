r"""NAME
    cdu_readings - collect the readings of a coolant distribution unit

DESCRIPTION
    Reads the JSON lines that a poller wrote and appends each reading to the
    Context, so that the history has one entry for each reading.

USAGE
    In a recipe:
        type: python
        module: scriptlets.python.steps.cdu_readings
        function: collect_readings
        params: {path: out/cdu_poll/readings.jsonl, polls: 10}
    Alone:
        READINGS=out/readings.jsonl scriptlets/shell/simulate_cdu_poll.sh
        python scriptlets/python/steps/cdu_readings.py \
            --params '{"path": "out/readings.jsonl", "polls": 10}'

RETURNS
    {"status": "ok", "polls": 10}; the Context then has the list cdu.readings_v1.
    {"status": "error", "reason": ...} if the file is missing, a line is not a
    reading, or the number is not `polls`; the Context is then unchanged.

LIMITATIONS
    Accepts every number; cdu_statistics checks the limits.
"""

import json
from pathlib import Path
from typing import Any

from pytest_orchestrator import Context, get_logger, main

FIELDS = (
    "supply_pressure_kpa",
    "return_pressure_kpa",
    "supply_temperature_c",
    "return_temperature_c",
)

log = get_logger(__name__)


def collect_readings(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Append the readings of a JSON-lines file to cdu.readings_v1.

    Args:
        ctx: The Context of the run.
        params: `path`: the file; `polls`: the expected number of readings (default: any
            number but 0).

    Returns:
        The status and the number of readings.
    """
    if not params.get("path"):
        return {"status": "error", "reason": "'path' must name the file of the readings"}
    path = Path(params["path"])
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        readings = [_reading(line, number) for number, line in enumerate(lines, 1)]
    except (OSError, ValueError) as error:
        return {"status": "error", "reason": f"{path}: {error}"}
    expected = params.get("polls", len(readings) or 1)
    if len(readings) != expected:
        reason = f"{path}: {len(readings)} readings, expected {expected}"
        return {"status": "error", "reason": reason}
    ctx.set("cdu.readings_v1", [], who="cdu_readings")
    for reading in readings:
        ctx.append("cdu.readings_v1", reading, who="cdu_readings")
    log.info("%d readings collected from %s", len(readings), path)
    return {"status": "ok", "polls": len(readings)}


def _reading(line: str, number: int) -> Any:
    try:
        reading = json.loads(line)
    except ValueError:
        raise ValueError(f"line {number} is not JSON: {line[:60]!r}") from None
    missing = [field for field in FIELDS if not _is_number(reading, field)]
    if missing:
        raise ValueError(f"line {number} has no number for {', '.join(missing)}")
    return reading


def _is_number(reading: Any, field: str) -> bool:
    return isinstance(reading, dict) and type(reading.get(field)) in (int, float)


if __name__ == "__main__":
    main(collect_readings)
