"""Run scaling benchmarks and print their tables: `python -m benchmarks.growth steps --rounds 3`."""

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks.growth import clients, journal, steps, ways
from benchmarks.growth.tables import Table, held
from benchmarks.measure import WrongRun, adopt_orphans

Part = Callable[[list[int], int], Table]

CLIENTS = (1, 10, 100, 1_000)

PARTS: dict[str, Part] = {
    "steps": steps.measured,
    "longest": lambda _, rounds: steps.longest(rounds),
    "journal": lambda sizes, rounds: journal.measured([one for one in sizes if one > 100], rounds),
    "clients": lambda _, rounds: clients.measured(CLIENTS, 5 * rounds),
    "ways": lambda _, rounds: ways.measured(rounds),
    "dask": lambda _, rounds: ways.dask(rounds),
}


def main() -> int:
    """Run the selected parts.

    Returns:
        0 if every goal was met, 1 if one was missed, 2 if a run failed.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth")
    parser.add_argument("parts", nargs="*", metavar="part", help=f"{', '.join(PARTS)}; default all")
    parser.add_argument("--sizes", type=int, nargs="+", default=[100, 1_000, 10_000, 100_000])
    parser.add_argument("--rounds", type=int, default=3, help="measured rounds (default 3)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the tables as JSON")
    parser.add_argument(
        "--markdown", type=Path, metavar="FILE", help="also write the tables as Markdown"
    )
    args = parser.parse_args()
    unknown = sorted(set(args.parts) - set(PARTS))
    if unknown:
        parser.error(f"no such part: {', '.join(unknown)}; there are {', '.join(PARTS)}")
    if steps.EACH not in args.sizes:
        parser.error(f"--sizes needs {steps.EACH}, which the others are compared with")
    adopt_orphans()
    tables = []
    try:
        for name in args.parts or PARTS:
            tables.append(PARTS[name](sorted(args.sizes), args.rounds))
            print(tables[-1].text(), end="\n\n", flush=True)
    except WrongRun as error:
        print(error, file=sys.stderr)
        return 2
    if args.json:
        args.json.write_text(json.dumps([one.plain() for one in tables], indent=1) + "\n")
    if args.markdown:
        args.markdown.write_text("\n\n".join(one.markdown() for one in tables) + "\n")
    return 0 if held(tables) else 1


if __name__ == "__main__":
    sys.exit(main())
