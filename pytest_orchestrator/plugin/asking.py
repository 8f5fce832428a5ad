"""What plugins of a project bring to the language of recipes, for those who are not pytest."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_orchestrator.plugin.extensions import found

if TYPE_CHECKING:
    from pytest_orchestrator.recipe.fields.extensions import Extensions


class _Asks:
    """Takes the place of a run."""

    known: "Extensions | None" = None
    refused = ""

    @pytest.hookimpl(tryfirst=True)
    def pytest_cmdline_main(self, config: pytest.Config) -> int:
        """Ask instead of running anything."""
        try:
            self.known = found(config)
        except pytest.UsageError as error:
            self.refused = str(error)
        return 0


def extensions(root: Path) -> "Extensions":
    """Let pytest load the plugins and the ``conftest.py`` of a project, and ask them.

    Raises:
        ValueError: They cannot be loaded, or bring what cannot be used.
    """
    asks = _Asks()
    pytest.main([f"--rootdir={root}", str(root)], plugins=[asks])
    if asks.known is None:
        raise ValueError(asks.refused or "pytest cannot be started here; it says why")
    return asks.known
