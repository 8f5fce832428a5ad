"""Build hook of hatchling: each build, also the editable one, has the generated files."""

import subprocess
import sys
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class BuildHook(BuildHookInterface[Any]):
    """Hook that generates the files before hatchling collects them."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002
        """Run the generator in a process of its own: a build may run in a process of ours."""
        subprocess.run([sys.executable, "-m", "scripts.generate"], cwd=self.root, check=True)
