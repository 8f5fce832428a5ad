r"""NAME
    psu_report - write measurements of a power supply to a file

DESCRIPTION
    Writes measurements as CSV, a row each, for a spreadsheet.

USAGE
    In a recipe, see recipes/psu_burn_in.yaml:
        type: python
        module: scriptlets.python.steps.psu_report
        function: write_report
        params: {path: out/psu.csv, rows: ["${{ steps.measure.result }}"]}
    Alone:
        python scriptlets/python/steps/psu_report.py \
            --params '{"path": "out/psu.csv", "rows": [{"channel": 1, "volts": 12.0}]}'

RETURNS
    {"status": "ok", "rows": 1}
    {"status": "error", "reason": ...} if there are no rows or the file cannot be written.

LIMITATIONS
    The columns are those of the first row, without its status. An older file is replaced.
"""

import csv
from pathlib import Path
from typing import Any

from pytest_orchestrator import get_logger, main

log = get_logger(__name__)


def write_report(params: dict[str, Any]) -> dict[str, Any]:
    """Write rows as CSV.

    Args:
        params: `path`: the file; its folder is created if it is missing. `rows`: the
            measurements, one mapping for each row.

    Returns:
        The status and the number of rows.
    """
    rows = params.get("rows")
    if not rows:
        return {"status": "error", "reason": "'rows' must contain measurements"}
    path = Path(params["path"])
    columns = [name for name in rows[0] if name != "status"]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, columns, extrasaction="ignore")
            writer.writeheader()
            writer.writerows(rows)
    except OSError as error:
        return {"status": "error", "reason": str(error)}
    log.info("%d rows written to %s", len(rows), path)
    return {"status": "ok", "rows": len(rows)}


if __name__ == "__main__":
    main(write_report)
