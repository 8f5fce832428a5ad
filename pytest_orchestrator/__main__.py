"""`python -m pytest_orchestrator` is the command line."""

import sys

from pytest_orchestrator.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
