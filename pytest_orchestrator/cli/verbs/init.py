"""Make a project, or add to one what it lacks.

No file that is there is changed: what it would need is told. In an empty folder pytest passes
at once.
"""

import argparse
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pytest_orchestrator.cli.arguments import UsageError, one_of
from pytest_orchestrator.reports.text import say

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_orchestrator.cli.scaffold import Draft

_SCHEMA = Path(__file__).parents[2] / "schema" / "recipe.json"
_SAMPLES = (
    ("recipes/hello.yaml", "hello.yaml", "2 steps: python + shell"),
    ("scriptlets/python/steps/hello.py", "hello.py", ""),
    ("scriptlets/shell/hello.sh", "hello.sh", ""),
    ("tests/test_hello.py", "test_hello.py", "uses ctx"),
)
_MARKS = {
    ".vscode/settings.json": "recipe.schema.json",
    ".github/workflows/recipes.yml": "pytest",
    ".gitlab-ci.yml": "pytest",
    ".pre-commit-config.yaml": "pytest-orchestrator",
}
"""What a file that is there must have, so that nothing is left to do in it."""
_CI = {"github": ".github/workflows/recipes.yml", "gitlab": ".gitlab-ci.yml"}


class Left(NamedTuple):
    """What is left to the user, in a file that is there already.

    Attributes:
        path: The file.
        what: What to do.
        text: What to put in; may be empty.
    """

    path: str
    what: str
    text: str = ""


def project_drafts(root: Path, *, ci: "Sequence[str]", pre_commit: bool) -> "Iterator[Draft]":
    """Return the files that a project has.

    Args:
        root: Its folder.
        ci: For which services there is a workflow: ``github``, ``gitlab``.
        pre_commit: Whether there are hooks of pre-commit.
    """
    from pytest_orchestrator.cli.project import configured
    from pytest_orchestrator.cli.scaffold import Draft, rendered

    known = configured(root)
    if known is None or known.root != root or (root / "pyproject.toml").exists():
        yield Draft("pyproject.toml", rendered("project/pyproject.toml", dash=_has_dash()))
    if not _has_other_recipes(root):
        for path, template, note in _SAMPLES:
            text = rendered(f"project/{template}")
            yield Draft(path, text, note, may_run=path.endswith(".sh"))
    yield Draft("recipe.schema.json", _SCHEMA.read_text(encoding="utf-8"), "for editors")
    yield Draft(".vscode/settings.json", rendered("project/settings.json"))
    yield Draft(".vscode/extensions.json", rendered("project/extensions.json"))
    yield Draft(".gitignore", rendered("project/gitignore"))
    for name in ci:
        yield Draft(_CI[name], rendered(f"project/{name}.yml"))
    if pre_commit:
        yield Draft(".pre-commit-config.yaml", rendered("project/pre-commit.yaml"))


def left_to_do(root: Path, drafts: "Sequence[Draft]") -> "Iterator[Left]":
    """Return what files that are there lack of what they would have been."""
    texts = {
        draft.path: (root / draft.path).read_text(encoding="utf-8", errors="replace")
        for draft in drafts
        if (root / draft.path).is_file()
    }
    yield from _settings(root, {draft.path: draft for draft in drafts})
    for draft in drafts:
        text = texts.get(draft.path)
        if text is None or text == draft.text:
            continue
        if draft.path == "recipe.schema.json":
            command = "pytest-orchestrator schema > recipe.schema.json"
            yield Left(draft.path, f"is of another version: {command}")
        elif draft.path == ".gitignore" and ".orchestrator" not in text:
            yield Left(draft.path, "add", ".orchestrator/\n")
        elif _MARKS.get(draft.path, "") not in text:
            yield Left(draft.path, "add to it", draft.text)


def _settings(root: Path, drafts: "dict[str, Draft]") -> "Iterator[Left]":
    """Tell what the settings of pytest lack."""
    from pytest_orchestrator.cli.project import Project, configured

    known = configured(root)
    path = known.file if known is not None and known.root == root else None
    if path is None:
        if (root / "pyproject.toml").exists():
            yield Left("pyproject.toml", "add", drafts["pyproject.toml"].text)
        return
    about = Project(root, known.settings if known else {})
    asked = about.listed("testpaths")
    if asked and not any("recipes" in Path(one).parts for one in asked):
        yield Left(path.name, "add recipes to testpaths, so that pytest runs them")
    if _has_dash() and "no:dash" not in " ".join(about.listed("addopts")):
        yield Left(path.name, "add -p no:dash to addopts: the plugin of Dash costs 400 ms a start")


def _has_dash() -> bool:
    return find_spec("dash") is not None


def _has_other_recipes(root: Path) -> bool:
    """Tell whether a project has recipes of its own, and so needs no sample."""
    from pytest_orchestrator.cli.project import Project

    if (root / "recipes" / "hello.yaml").exists():
        return False
    try:
        return any(Project(root, {}).recipes(()))
    except UsageError:
        return False


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
    root = Path.cwd() / args.folder
    if root.exists() and not root.is_dir():
        raise UsageError(f"{args.folder} is no folder")
    drafts = list(project_drafts(root, ci=list(dict.fromkeys(args.ci)), pre_commit=args.pre_commit))
    todo = list(left_to_do(root, drafts))
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
