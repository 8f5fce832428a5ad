"""The tests of the door, with all steps run by workers of Dask: ``TESTED_RUNNER=dask pytest ...``.

The address of a scheduler has them run by workers that are there already.
What is listed here is by design another thing there, or asks for no step at all.
"""

import os
from typing import Final

WANTED: Final[str] = os.environ.get("TESTED_RUNNER", "")

OTHERWISE: Final[dict[str, str]] = {}
"""Files and tests that are left out, and why."""

if WANTED:  # pytester takes away what a run imported, and that is an import of a second
    import distributed  # noqa: F401
