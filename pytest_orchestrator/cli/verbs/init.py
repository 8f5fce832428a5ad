"""Make a project, or add to one what it lacks.

No file that is there is changed: what it would need is told. In an empty folder pytest passes
at once.
"""

import argparse
import sys
from pathlib import Path

from pytest_orchestrator.cli.mistakes import Mistake, one_of
from pytest_orchestrator.reports.text import say

EXAMPLE = "init bench --ci github"

_NEXT = """\
next:  {0}pytest                     run it
       pytest-orchestrator new step count_lines --type shell --param INPUT"""


def declare(parser: argparse.ArgumentParser) -> None:
    """Say which arguments there are."""
    parser.add_argument(
        "folder",
        nargs="?",
        type=Path,
        default=Path(),
        metavar="FOLDER",
        help="where, made if it is not there (default: here)",
    )
    parser.add_argument("--dry-run", action="store_true", help="write nothing, tell what would be")
    parser.add_argument(
        "--ci",
        action="append",
        default=[],
        type=one_of("service", ("github", "gitlab")),
        metavar="github|gitlab",
        help="with a workflow for this service; may be given again",
    )
    parser.add_argument("--pre-commit", action="store_true", help="with hooks for pre-commit")


def run(args: argparse.Namespace) -> int:
    """Make it."""
    from pytest_orchestrator.cli.kit import kit, left

    root = Path.cwd() / args.folder
    if root.exists() and not root.is_dir():
        raise Mistake(f"{args.folder} is no folder")
    drafts = list(kit(root, ci=list(dict.fromkeys(args.ci)), pre_commit=args.pre_commit))
    todo = list(left(root, drafts))
    is_new = False
    for draft in drafts:
        if (root / draft.path).exists():
            say(f"unchanged {draft.path}")
            continue
        is_new = True
        if not args.dry_run:
            draft.write(root)
        word = "would create" if args.dry_run else "created"
        say(f"{word} {draft.path:<33} {draft.note}".rstrip())
    for one in todo:
        say(f"left to you: {one.path}: {one.what}")
        say(*(f"    {line}" for line in one.text.splitlines()))
    sys.stdout.flush()
    if is_new and not args.dry_run:
        say(*_NEXT.format("" if root == Path.cwd() else f"cd {args.folder}; ").split("\n"))
    return 0
