"""Create a project, or add missing files to one.

Existing files are never changed; needed edits are printed. In an empty folder pytest passes
at once.
"""

import argparse
import stat
import sys
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from pytest_orchestrator.cli.arguments import OneOf, UsageError
from pytest_orchestrator.reports.text import say

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_orchestrator.cli.project import Project
    from pytest_orchestrator.cli.verbs.new import Draft


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
"""Text that an existing file must contain; without it a needed edit is printed."""
_CI = {"github": ".github/workflows/recipes.yml", "gitlab": ".gitlab-ci.yml"}


class ManualEdit(NamedTuple):
    """An edit of an existing file that is left to the user.

    Attributes:
        path: The file.
        what: The instruction.
        text: The text to insert; may be empty.
    """

    path: str
    what: str
    text: str = ""


def project_drafts(
    root: Path, *, ci: "Sequence[str]", pre_commit: bool, strict: bool = False
) -> "Iterator[Draft]":
    """Yield the files of a project.

    Args:
        root: Its folder.
        ci: The services that get a workflow: ``github``, ``gitlab``.
        pre_commit: Include hooks of pre-commit.
        strict: Let workflow and hooks check the conventions of scriptlets.
    """
    from pytest_orchestrator.cli.project import Project, find_project
    from pytest_orchestrator.cli.verbs.new import Draft, render_template

    known = find_project(root)
    if known is None or known.root != root or (root / "pyproject.toml").exists():
        yield Draft("pyproject.toml", render_template("project/pyproject.toml"))
    if not _has_other_recipes(root):
        for path, template, note in _SAMPLES:
            text = render_template(f"project/{template}")
            yield Draft(path, text, note, may_run=path.endswith(".sh"))
    yield Draft("recipe.schema.json", _SCHEMA.read_text(encoding="utf-8"), "for editors")
    yield Draft(".vscode/settings.json", render_template("project/settings.json"))
    yield Draft(".vscode/extensions.json", render_template("project/extensions.json"))
    yield Draft(".gitignore", render_template("project/gitignore"))
    extras = needed_extras(known or Project(root, {})) if ci else ()
    for name in ci:
        values = {"strict": strict, "install": install_command(root, extras)}
        text = render_template(f"project/{name}.yml", **values)
        yield Draft(_CI[name], text)
    if pre_commit:
        text = render_template("project/pre-commit.yaml", strict=strict)
        yield Draft(".pre-commit-config.yaml", text)


def manual_edits(root: Path, drafts: "Sequence[Draft]") -> "Iterator[ManualEdit]":
    """Yield the edits that existing files need."""
    texts = {
        draft.path: (root / draft.path).read_text(encoding="utf-8", errors="replace")
        for draft in drafts
        if (root / draft.path).is_file()
    }
    yield from _settings_edits(root, {draft.path: draft for draft in drafts})
    for draft in drafts:
        text = texts.get(draft.path)
        if text is None or text == draft.text:
            continue
        if draft.path == "recipe.schema.json":
            command = "pytest-orchestrator schema > recipe.schema.json"
            yield ManualEdit(draft.path, f"is of another version: {command}")
        elif draft.path == ".gitignore" and ".orchestrator" not in text:
            yield ManualEdit(draft.path, "add", ".orchestrator/\n")
        elif _MARKS.get(draft.path, "") not in text:
            yield ManualEdit(draft.path, "add to it", draft.text)


def _settings_edits(root: Path, drafts: "dict[str, Draft]") -> "Iterator[ManualEdit]":
    """Yield the edits of the settings of pytest that the user has to make by hand."""
    from pytest_orchestrator.cli.project import Project, find_project

    known = find_project(root)
    path = known.file if known is not None and known.root == root else None
    if path is None:
        if (root / "pyproject.toml").exists():
            yield ManualEdit("pyproject.toml", "add", drafts["pyproject.toml"].text)
        return
    about = Project(root, known.settings if known else {})
    testpaths = about.listed("testpaths")
    if testpaths and not any("recipes" in Path(one).parts for one in testpaths):
        yield ManualEdit(path.name, "add recipes to testpaths, so that pytest runs them")


def _has_other_recipes(root: Path) -> bool:
    """Return True if a project has recipes already, so that no sample recipe is needed."""
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
    """Declare the arguments of the command."""
    parser.add_argument(
        "folder",
        nargs="?",
        type=Path,
        default=Path(),
        metavar="FOLDER",
        help="the folder of the project, created if missing (default: the working directory)",
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="write nothing, print what would be created"
    )
    parser.add_argument(
        "--ci",
        action="append",
        default=[],
        type=OneOf("service", ("github", "gitlab")),
        metavar="github|gitlab",
        help="add a workflow for this service; can be repeated",
    )
    parser.add_argument("--pre-commit", action="store_true", help="add hooks for pre-commit")
    parser.add_argument(
        "--strict",
        action="store_true",
        help="let the workflow and the hooks check the conventions of scriptlets, too",
    )


def run(args: argparse.Namespace) -> int:
    """Write the missing files and print the needed edits."""
    root = Path.cwd() / args.folder
    try:
        mode = root.stat().st_mode
    except FileNotFoundError:
        pass  # it is created
    except OSError as error:
        raise UsageError(f"{args.folder}: {error.strerror}") from None
    else:
        if not stat.S_ISDIR(mode):
            raise UsageError(f"{args.folder} is no folder")
    ci = list(dict.fromkeys(args.ci))
    drafts = [*project_drafts(root, ci=ci, pre_commit=args.pre_commit, strict=args.strict)]
    edits = list(manual_edits(root, drafts))
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
    for edit in edits:
        say(f"left to you: {edit.path}: {edit.what}")
        say(*(f"    {line}" for line in edit.text.splitlines()))
    sys.stdout.flush()
    if is_new and not args.dry_run:
        say(*_NEXT.format("" if root == Path.cwd() else f"cd {args.folder}; ").split("\n"))
    return 0


_REQUIREMENTS: Final = ("requirements.txt", "requirements-test.txt", "requirements-dev.txt")
_EXTRAS: Final = {"http": "http", "scpi": "visa", "serial": "serial"}
"""The extra that a type of steps needs."""


def install_command(root: Path, extras: Collection[str] = ()) -> str:
    """Return the command that installs a project and this package.

    Args:
        root: The folder of the project. Its extras and dependency groups are left to the user.
        extras: The extras of this package that the recipes need.
    """
    words = [f"-r {name}" for name in _REQUIREMENTS if (root / name).is_file()]
    settings = root / "pyproject.toml"
    is_built = settings.is_file() and b"[build-system]" in settings.read_bytes()
    words += ["."] if is_built or (root / "setup.py").is_file() else []
    own = f"'pytest-orchestrator[{','.join(sorted(extras))}]'" if extras else "pytest-orchestrator"
    return " ".join(["python -m pip install", *words, own])


def needed_extras(about: "Project") -> set[str]:
    """Return the extras of this package that a pipeline needs: of its checks, recipes, station.

    The recipes are not loaded, which they cannot be where an extra of a step is missing.
    """
    from pytest_orchestrator.cli.project import Recipes
    from pytest_orchestrator.recipe.analysis.dependencies import mentions

    steps, _ = mentions(about.recipes(()), about.root)
    found = {"validate", *(_EXTRAS[one.type] for one in steps if one.type in _EXTRAS)}
    station = Recipes(about).station
    if getattr(station, "instruments", None):  # neither missing nor with errors
        found.add("visa")
    return found
