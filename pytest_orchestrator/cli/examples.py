"""The last lines of each `--help`: a command that works."""

import argparse
from typing import Any, Final

PROGRAM: Final = "pytest-orchestrator"


def with_example(words: str) -> dict[str, Any]:
    """Return what a parser is made with so that its help ends with an example.

    Args:
        words: What follows the name of the program.
    """
    return {
        "epilog": f"example:\n  {PROGRAM} {words}",
        "formatter_class": argparse.RawDescriptionHelpFormatter,
        "allow_abbrev": False,
    }
