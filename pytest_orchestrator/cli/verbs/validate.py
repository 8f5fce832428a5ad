"""Check recipes, their data flow and the station file without running anything.

Reports the errors that pytest reports at collection, but for those that depend on options of a
session: values of `required` vars, hosts and counted resources. It also reports Context keys that
steps read and no step writes, missing dependencies on the step that writes a key, steps that write
a key at the same time, and missing modules, classes, functions and programs.
"""

import argparse
import os
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_orchestrator.cli.arguments import UsageError, existing_path
from pytest_orchestrator.cli.project import Project, absolute, project
from pytest_orchestrator.reports.text import say, say_json, terminal_width

if TYPE_CHECKING:
    from pytest_orchestrator.cli.project import Recipes
    from pytest_orchestrator.plugin.questions.given import GivenAnswers
    from pytest_orchestrator.recipe.analysis.dataflow import Finding
    from pytest_orchestrator.recipe.model.recipe import Recipe
    from pytest_orchestrator.recipe.model.step import Step
    from pytest_orchestrator.recipe.problems import Problem

EXAMPLE = "validate recipes/"

CODES = {
    "yaml": r"YAML|UTF-8|given twice|a key is text|cannot begin|cannot indent|JSON; use|the tag |"
    r"second document|anchor|closing quote|merges a|the file (?:is|cannot)",
    "size": r"bytes|more than .* (?:nodes|characters|steps)|levels (?:of|deep)|are the most",
    "unknown-key": r"unknown (?:key|criterion)|is no key|belongs to",
    "missing-key": r"^missing|is missing|does not give|has no 'as'|has no '.*' or '|stands without",
    "conflict": r"beside|are called|and a key of|and in '|a service|runs once|' and '|that name",
    "parameters": r"^(?:function|class|params) .*(?:read|need|take|give)|does not name the fixture",
    "unknown-name": r"which is no |^no (?:step|var|name|')|there is no |names no|nothing writes|"
    r"unknown (?:name|type)|has no (?:class|function|parameter|var|station)|no such cell|no matrix",
    "limits": r"can never hold|limits cross|no value (?:meets|can)|needs a limit|above 'high'",
    "order": r"same time|only afterwards|wait|circle|runs after|itself$|stands below|runs only if",
    "expression": r"expression|is known |cannot be used here|known only|reads",
    "script": r"\bsh\b|\bbash\b|shell|program|line end|module|needs a process",
    "value": r"should be|should not be|should have| is |has the ",
}
"""The codes of problems, each with the words of the standard sentences that have it.

The first that is found counts; a problem with none of them has the code `other`.
"""


def declare(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command."""
    parser.add_argument(
        "paths",
        nargs="*",
        type=existing_path,
        metavar="PATH",
        help="recipes, folders with recipes, station files (default: all recipes of the project)",
    )
    parser.add_argument(
        "--recipe-answer",
        action="append",
        default=[],
        metavar="STEP.FIELD=VALUE",
        help="an answer to a prompt, as pytest takes it; with CI=true, prompts without an answer "
        "are reported",
    )
    parser.add_argument(
        "--recipe-answers",
        action="append",
        default=[],
        metavar="PATH",
        help="a file with answers to prompts, as pytest takes it",
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")


def run(args: argparse.Namespace) -> int:
    """Check the recipes and print the problems."""
    about = project(args.paths)
    stations = _stations(args.paths, about)
    named = zip(args.paths, absolute(args.paths), strict=True)
    rest = [path for path, whole in named if whole not in stations]
    paths = list(about.recipes(rest)) if rest or not args.paths else []
    if not (paths or stations):
        where = " or ".join(map(str, args.paths or [about.root]))
        near = next(about.near_recipes(rest), "")
        where += f": {near}" if near else ""
        raise UsageError(
            f"there is no recipe in {where}; pytest-orchestrator new recipe NAME creates one"
        )
    given = _given_answers(args, about)
    found = list(dict.fromkeys(_of_stations(stations, about)))
    found += dict.fromkeys(_findings(paths, about, given))
    if args.json:
        say_json(_plain([*stations, *paths], found, about))
    else:
        from pytest_orchestrator.reports import failure_view

        width, wrap = terminal_width(), sys.stdout.isatty()
        for each in found:
            say(*failure_view.plain(each.render(), width, wrap=wrap), "")
        say(_summary(len(paths), len(stations), found))
    return 1 if any(each.severity == "error" for each in found) else 0


def _stations(named: Sequence[Path], about: Project) -> list[Path]:
    """Return the station file of the project, and the station files among the arguments."""
    from pytest_orchestrator.recipe.station.reader import looks_like_station

    own = about.station_file()
    files = [path for path in absolute(named) if path.is_file() and looks_like_station(path)]
    return list(dict.fromkeys([*([own.path] if own else []), *files]))


def _of_stations(paths: Sequence[Path], about: Project) -> "Iterator[Finding]":
    """Yield a finding for each problem of station files."""
    from pytest_orchestrator.plugin.options.station import StationFile, station_of
    from pytest_orchestrator.recipe.analysis.dataflow import Finding
    from pytest_orchestrator.recipe.problems import RecipeError

    own = about.station_file()
    for path in paths:
        file = own if own is not None and path == own.path else StationFile(path)
        try:
            station_of(file, about.root, about.max_bytes)
        except RecipeError as error:
            yield from (Finding("error", error.path, error.text, each) for each in error.problems)


def _given_answers(args: argparse.Namespace, about: Project) -> "GivenAnswers | None":
    """Return the answers that are given before a run; None if a person can be asked.

    The options in the ini key ``addopts`` count too.
    """
    from pytest_orchestrator.core.extras import is_ci
    from pytest_orchestrator.plugin.questions.given import GivenAnswers, answers_of

    if not is_ci():
        return None
    parser = argparse.ArgumentParser(allow_abbrev=False, add_help=False)
    for option in ("--recipe-answer", "--recipe-answers"):
        parser.add_argument(option, action="append", default=[])
    always = parser.parse_known_args(about.listed("addopts"))[0]
    try:
        answers = [
            *answers_of(always.recipe_answer, always.recipe_answers, about.root),
            *answers_of(args.recipe_answer, args.recipe_answers, Path.cwd()),
        ]
    except ValueError as error:
        raise UsageError(str(error)) from None
    return GivenAnswers(answers, os.environ)


def _unanswered(recipe: "Recipe", given: "GivenAnswers") -> "Iterator[Finding]":
    """Yield a finding for each step that asks a person and lacks an answer."""
    from pytest_orchestrator.recipe.analysis.dataflow import finding
    from pytest_orchestrator.recipe.fields import type_hooks
    from pytest_orchestrator.recipe.fields.extensions import asks

    for step in filter(asks, (*recipe.steps, *recipe.final)):
        for question in type_hooks.call("questions", step, str(recipe.path)):
            missing = given.unanswered(recipe, step.name, question)
            if missing:
                names = ", ".join(f"{step.name}.{name}" for name in missing)
                head = f"CI is set, and no answer is given to {names}"
                place = step.at.get("message", step.at["type"])
                yield finding(recipe, step, "warning", place, head, "--recipe-answers FILE")


def _findings(
    paths: Sequence[Path], about: Project, given: "GivenAnswers | None"
) -> "Iterator[Finding]":
    from pytest_orchestrator.cli.project import Recipes
    from pytest_orchestrator.core.extras import is_installed
    from pytest_orchestrator.recipe.analysis.dataflow import Dataflow, Finding, is_direct
    from pytest_orchestrator.recipe.analysis.source_files import Sources
    from pytest_orchestrator.recipe.expressions.expression import end_collection
    from pytest_orchestrator.recipe.model.step import ShellStep
    from pytest_orchestrator.recipe.problems import RecipeError

    recipes = Recipes(about)
    sources = Sources(about.root, [about.root / name for name in about.listed("pythonpath")])
    flow = Dataflow(sources, recipes.valid_recipe)
    steps: list[Step] = []
    for path in paths:
        recipe = recipes.at(path)
        if isinstance(recipe, RecipeError):
            problems = recipe.problems
            yield from (Finding("error", recipe.path, recipe.text, each) for each in problems)
            continue
        steps += [*recipe.steps, *recipe.final]
        needs = _need_findings(recipe, about.root, recipes)
        yield from (*flow.findings(recipe), *_cell_findings(recipe), *needs)
        if given is not None:
            yield from _unanswered(recipe, given)
    end_collection()
    scripts = [step for step in steps if isinstance(step, ShellStep) and not is_direct(step)]
    if scripts and not is_installed("validate"):
        cure = "python -m pip install 'pytest-orchestrator[validate]'"
        say(f"the commands of {_counted(len(scripts), 'script')} are not checked: {cure}", err=True)


def _need_findings(recipe: "Recipe", root: Path, recipes: "Recipes") -> "Iterator[Finding]":
    """Yield a finding for each recipe in `needs` that is missing, wrong or in a circle."""
    from pytest_orchestrator.plugin.collection.recipe_needs import check_recipe_needs
    from pytest_orchestrator.recipe.analysis.dataflow import Finding
    from pytest_orchestrator.recipe.problems import RecipeError

    def load(path: Path) -> "Recipe":
        loaded = recipes.at(path)
        if isinstance(loaded, RecipeError):
            raise loaded
        return loaded

    try:
        check_recipe_needs(recipe, root, load)
    except RecipeError as error:
        yield from (Finding("error", error.path, error.text, each) for each in error.problems)


def _cell_findings(recipe: "Recipe") -> "Iterator[Finding]":
    """Yield a finding for each error of the cells of matrices, as pytest reports it at collection.

    The cells of a recipe are not known if they read an environment variable, or a var that gets its
    value only from outside.
    """
    if not (recipe.matrix or recipe.has_cells):
        return
    from pytest_orchestrator.execution.expression_scope import collected
    from pytest_orchestrator.recipe import RecipeError, cells
    from pytest_orchestrator.recipe.analysis.dataflow import Finding
    from pytest_orchestrator.recipe.expressions.expression import ExpressionError
    from pytest_orchestrator.recipe.problems import Problem
    from pytest_orchestrator.recipe.variables import missing_inputs, read_at_collection

    reads = read_at_collection(recipe)
    missing = {*recipe.required, *missing_inputs(recipe.inputs, ())}
    if reads is None or reads & missing or _reads_env(recipe):
        return
    try:
        cells(recipe, collected(recipe, {}))
    except RecipeError as error:
        yield from (Finding("error", error.path, error.text, each) for each in error.problems)
    except ExpressionError as error:
        problem = Problem(error.place or recipe.at["matrix"], str(error))
        yield Finding("error", recipe.id, recipe.text, problem)


def _reads_env(recipe: "Recipe") -> bool:
    """Return True if an expression that may be evaluated at collection reads the environment."""
    templates = [one for one in recipe.templates if one.path[0] in ("vars", "inputs", "matrix")]
    for step in (*recipe.steps, *recipe.final):
        templates += [one for one in step.templates if one.path[0] == "matrix"]
        templates += [one.key_template for one in step.outputs if one.key_template is not None]
        for use in step.uses:
            templates += [*use.templates, *use.with_templates]
    expressions = (each for one in templates for each in one.expressions)
    return any(chain.root == "env" for each in expressions for chain in each.reads)


def _plain(paths: Sequence[Path], found: "Sequence[Finding]", about: Project) -> dict[str, Any]:
    by_path: dict[str, list[dict[str, Any]]] = {about.display_path(path): [] for path in paths}
    for each in found:
        place = each.problem.place
        by_path.setdefault(each.path, []).append(
            {
                "severity": each.severity,
                "line": place.line,
                "column": place.column,
                "length": place.length,
                "code": code_of(each.problem),
                "message": each.problem.text,
            }
            | ({"cure": each.problem.hint} if each.problem.hint else {})
        )
    recipes = [{"path": path, "problems": problems} for path, problems in by_path.items()]
    return {"rootdir": str(about.root), "recipes": recipes}


def code_of(problem: "Problem") -> str:
    """Return the code of a problem: one of `CODES`, or `other`."""
    sentence = problem.head + problem.tail
    return next((code for code, words in CODES.items() if re.search(words, sentence)), "other")


def _summary(recipes: int, stations: int, found: "Sequence[Finding]") -> str:
    warnings = sum(each.severity == "warning" for each in found)
    parts = [_counted(recipes, "recipe")] if recipes or not stations else []
    parts += [_counted(stations, "station file")] if stations else []
    parts += [_counted(len(found) - warnings, "problem")]
    return ", ".join([*parts, _counted(warnings, "warning")] if warnings else parts)


def _counted(number: int, what: str) -> str:
    return f"{number or 'no'} {what}{'s' if number > 1 else ''}"
