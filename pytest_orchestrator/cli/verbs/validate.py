"""Check recipes, and what flows through their steps, without running anything.

Tells what pytest tells when it collects them, and besides: keys of the Context that are read
and that nothing writes, writers that are not waited for, two writers at the same time,
modules, classes, functions and programs that are not there.
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_orchestrator.cli.arguments import UsageError, existing
from pytest_orchestrator.cli.project import Project, project
from pytest_orchestrator.reports.text import say, say_json

if TYPE_CHECKING:
    from collections.abc import Collection

    from pytest_orchestrator.recipe.analysis.dataflow import Finding
    from pytest_orchestrator.recipe.analysis.source_files import Sources
    from pytest_orchestrator.recipe.model.recipe import Recipe

EXAMPLE = "validate recipes/"


def declare(parser: argparse.ArgumentParser) -> None:
    """Say which arguments there are."""
    parser.add_argument(
        "paths",
        nargs="*",
        type=existing,
        metavar="PATH",
        help="recipes, or folders that have some (default: all of the project)",
    )
    parser.add_argument(
        "--imports",
        action="store_true",
        help="import the modules too, in a process of their own",
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")


def run(args: argparse.Namespace) -> int:
    """Check them."""
    about = project(args.paths)
    paths = list(about.recipes(args.paths))
    if not paths:
        where = " or ".join(map(str, args.paths or [about.root]))
        raise UsageError(
            f"there is no recipe in {where}; pytest-orchestrator new recipe NAME makes one"
        )
    found = list(dict.fromkeys(_findings(paths, about, imports=args.imports)))
    if args.json:
        say_json(_plain(paths, found, about))
    else:
        for each in found:
            say(*each.render().split("\n"), "")
        say(_summary(len(paths), found))
    return 1 if any(each.severity == "error" for each in found) else 0


def _findings(paths: Sequence[Path], about: Project, *, imports: bool) -> "Iterator[Finding]":
    from pytest_orchestrator.cli.project import Recipes
    from pytest_orchestrator.recipe.analysis.dataflow import Dataflow, Finding
    from pytest_orchestrator.recipe.analysis.source_files import Sources
    from pytest_orchestrator.recipe.problems import RecipeError

    recipes = Recipes(about)
    sources = Sources(about.root, [about.root / name for name in about.listed("pythonpath")])
    flow = Dataflow(sources, recipes.good)
    for path in paths:
        recipe = recipes.at(path)
        if isinstance(recipe, RecipeError):
            problems = recipe.problems
            yield from (Finding("error", recipe.path, recipe.text, each) for each in problems)
            continue
        found = flow.findings(recipe)
        yield from found
        if imports:
            yield from not_imported(recipe, sources, found)


def _plain(paths: Sequence[Path], found: "Sequence[Finding]", about: Project) -> dict[str, Any]:
    told: dict[str, list[dict[str, Any]]] = {about.shown(path): [] for path in paths}
    for each in found:
        place = each.problem.place
        told.setdefault(each.path, []).append(
            {
                "severity": each.severity,
                "line": place.line,
                "column": place.column,
                "length": place.length,
                "message": each.problem.text,
            }
        )
    recipes = [{"path": path, "problems": problems} for path, problems in told.items()]
    return {"rootdir": str(about.root), "recipes": recipes}


def _summary(recipes: int, found: "Sequence[Finding]") -> str:
    warnings = sum(each.severity == "warning" for each in found)
    parts = [_counted(recipes, "recipe"), _counted(len(found) - warnings, "problem")]
    return ", ".join([*parts, _counted(warnings, "warning")] if warnings else parts)


def _counted(number: int, what: str) -> str:
    return f"{number or 'no'} {what}{'s' if number > 1 else ''}"


# What modules print goes to stderr; the answer to where stdout was.
_PROBE = """
import importlib, json, os, sys, traceback
answer = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)
wanted, sys.path[:0] = json.loads(sys.argv[1]), json.loads(sys.argv[2])
told = {}
for module, names in wanted.items():
    try:
        found = importlib.import_module(module)
    except BaseException as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        told[module] = [type(error).__name__, str(error), last.filename, last.lineno]
        continue
    told[module] = [name for name in names if not hasattr(found, name)]
json.dump(told, answer)
answer.flush()
os._exit(0)
"""


def not_imported(
    recipe: "Recipe", sources: "Sources", known: "Collection[Finding]"
) -> "Iterator[Finding]":
    """Return what of a recipe cannot be imported, and was not found before."""
    from pytest_orchestrator.recipe.analysis.dataflow import finding
    from pytest_orchestrator.recipe.model.step import PythonStep

    told_of = {each.problem.place for each in known if each.severity == "error"}
    steps = [
        step
        for step in (*recipe.steps, *recipe.final)
        if isinstance(step, PythonStep)
        and not told_of
        & {step.at[key] for key in ("module", "class", "function") if key in step.at}
    ]
    wanted: dict[str, list[str]] = {}
    for step in steps:
        wanted.setdefault(step.module, []).append(step.class_ or step.function or "")
    told = _asked(wanted, sources) if wanted else {}
    for step in steps:
        answer = told.get(step.module, ["it ended the process", "", "", 0])
        name = step.class_ or step.function
        if len(answer) == 4 and isinstance(answer[3], int):
            why = ": ".join(str(part) for part in answer[:2] if part)
            head = f"module '{step.module}' cannot be imported: {why}"
            yield finding(recipe, step, "error", step.at["module"], head, _where(answer, sources))
        elif name in answer:
            kind = "class" if step.class_ else "function"
            head = f"module '{step.module}' has no {kind} '{name}'"
            yield finding(recipe, step, "error", step.at[kind], head)


def _where(answer: list[str | int], sources: "Sources") -> str:

    return f"{sources.shown(Path(str(answer[2])))}:{answer[3]}" if answer[2] else ""


def _asked(wanted: dict[str, list[str]], sources: "Sources") -> dict[str, list[str | int]]:
    """Import modules; return for each what went wrong, or the names that it does not have."""
    import json
    import subprocess
    import sys

    path = [str(folder) for folder in (*sources.folders, sources.root)]
    done = subprocess.run(
        [sys.executable, "-c", _PROBE, json.dumps(wanted), json.dumps(path)],
        cwd=sources.root,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        check=False,
    )
    told: dict[str, list[str | int]] = json.loads(done.stdout or b"{}")
    return told
