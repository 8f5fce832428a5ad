"""Tries the cases of a group in the environment of this interpreter, or writes the tables."""

import argparse
import os
import sys

from tests.neighbours import table
from tests.neighbours.cases import GROUPS, NEIGHBOURS, PYTESTS, of_pytest
from tests.neighbours.trying import keep, tried


def main() -> int:
    """Run the cases or write the tables; return 1 if a result is neither expected nor explained."""
    parser = argparse.ArgumentParser(prog="scripts/neighbours", description=__doc__)
    names = [*GROUPS, *(f"pytest-{version}" for version in PYTESTS)]
    parser.add_argument("group", nargs="?", choices=names, help="default: write the tables")
    group = parser.parse_args().group
    if group is None:
        old = table.PAGE.read_text(encoding="utf-8")
        table.PAGE.write_text(table.placed(old, table.results()), encoding="utf-8")
        return 0
    every = (*NEIGHBOURS, *(case for version in PYTESTS for case in of_pytest(version)))
    failures = 0
    for case in (one for one in every if one.group == group):
        result = tried(case, os.environ)
        keep(table.RESULTS, [result])
        sys.stdout.write(f"{case.name}, {case.tried}: {result['wrong'] or 'works'}\n")
        failures += bool(result["wrong"]) and not case.hint
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
