r"""NAME
    cdu_report - write the readings and figures of a coolant distribution unit to files

DESCRIPTION
    Writes two files: the readings as CSV, a row each, for a spreadsheet; and
    the figures of cdu_statistics as JSON, for a program.

USAGE
    In a recipe:
        type: python
        module: scriptlets.python.steps.cdu_report
        function: write_report
        params: {folder: out/cdu_poll}
    Alone:
        python scriptlets/python/steps/cdu_report.py --params '{"folder": "out"}' \
            --context '{"cdu.readings_v1": [{"poll": 1, "supply_pressure_kpa": 320.0}]}'

RETURNS
    {"status": "ok", "files": ["out/readings.csv", "out/figures.json"]}
    {"status": "error", "reason": ...} if the Context has no readings or the
    folder cannot be written.

LIMITATIONS
    The columns are the fields of the first reading. Older files are replaced.
"""

import csv
import json
from pathlib import Path
from typing import Any

from pytest_orchestrator import Context, get_logger, main

log = get_logger(__name__)


def write_report(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Write readings.csv and figures.json.

    Args:
        ctx: The Context of the run, with cdu.readings_v1.
        params: `folder`: the folder to write to; it is created if it is missing.

    Returns:
        The status and the paths of the two files.
    """
    if not params.get("folder"):
        return {"status": "error", "reason": "'folder' must say where to write"}
    readings = ctx.get("cdu.readings_v1")
    if not readings:
        return {"status": "error", "reason": "no readings in the Context under 'cdu.readings_v1'"}
    table, figures = (Path(params["folder"]) / name for name in ("readings.csv", "figures.json"))
    try:
        table.parent.mkdir(parents=True, exist_ok=True)
        _write_table(table, readings)
        figures.write_text(json.dumps(_figures(ctx), indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        return {"status": "error", "reason": str(error)}
    log.info("%d readings written to %s", len(readings), table)
    return {"status": "ok", "files": [str(table), str(figures)]}


def _write_table(path: Path, readings: list[dict[str, Any]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(readings[0]))
        writer.writeheader()
        writer.writerows(readings)


def _figures(ctx: Context) -> dict[str, Any]:
    prefixes = ("cdu.mean_", "cdu.delta_")
    return {key: value for key, value in ctx.to_dict().items() if key.startswith(prefixes)}


if __name__ == "__main__":
    main(write_report)
