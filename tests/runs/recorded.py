"""Project with a run that an earlier version of this package recorded.

The folder `recorded` is as that version wrote it, without the files that are rebuilt from it.
"""

import shutil
from pathlib import Path
from typing import Final

RUN: Final = "20261128T092048Z-7b15"

_RUNS: Final = Path(__file__).with_suffix("")
_RAMP: Final = """\
def ramp(ctx, params):
    ctx.set("supply.volts", params["volts"])
    return {"status": "ok", "volts": params["volts"]}
"""


def restore_project(root: Path) -> Path:
    """Write the recipe, the scriptlet and the run into a project; return the run folder."""
    folder = root / ".orchestrator" / "runs" / RUN
    shutil.copytree(_RUNS / RUN, folder)
    shutil.copytree(folder / "sources", root, dirs_exist_ok=True)
    (root / "ramp.py").write_text(_RAMP)
    return folder
