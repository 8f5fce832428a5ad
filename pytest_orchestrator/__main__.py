"""Entry point of `python -m pytest_orchestrator`."""

import sys

from pytest_orchestrator.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
