"""pytest plugin: the only package that imports pytest. PYTEST_DONT_REWRITE.

pytest imports this module before all others of the package, and `PackageFinder` finds those. Else
pytest would parse and rewrite each of them; without bytecode files at every start.
"""

import sys
from importlib.machinery import PathFinder

sys.meta_path.insert(0, PathFinder)  # ahead of pytest's, which takes longer to read bytecode

from pytest_orchestrator.plugin.package_finder import PackageFinder  # noqa: E402

sys.meta_path[0] = PackageFinder
