"""Make a scriptlet with its test, or a recipe, each from a template that runs as it is."""

import argparse
from typing import TYPE_CHECKING

from pytest_orchestrator.cli.examples import with_example
from pytest_orchestrator.cli.mistakes import Mistake, one_of
from pytest_orchestrator.cli.project import Project, project
from pytest_orchestrator.reports.text import say

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_orchestrator.cli.drafts import Draft

EXAMPLE = "new step count_words --type shell --param INPUT"


def declare(parser: argparse.ArgumentParser) -> None:
    """Say which arguments there are."""
    kinds = parser.add_subparsers(metavar="step|recipe", dest="kind", required=True)
    _declare_step(kinds)
    _declare_recipe(kinds)


def _declare_step(kinds: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    step = kinds.add_parser("step", help="a scriptlet and its test", **with_example(EXAMPLE))
    step.add_argument("name", metavar="NAME", help="the name of its file, without the ending")
    step.add_argument(
        "--type",
        type=one_of("type", ("python", "shell")),
        required=True,
        metavar="python|shell",
        help="what it is",
    )
    step.add_argument(
        "--param",
        action="append",
        default=[],
        metavar="P",
        help="what it is given: a parameter, or a variable of a script; may be given again",
    )
    step.set_defaults(parser=step)


def _declare_recipe(kinds: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    recipe = kinds.add_parser(
        "recipe",
        help="a recipe that calls scriptlets",
        **with_example("new recipe words --step sample.sh"),
    )
    recipe.add_argument("name", metavar="NAME", help="the name of its file, without the ending")
    recipe.add_argument(
        "--step",
        action="append",
        default=[],
        metavar="S",
        help="a scriptlet: its name, file or module, as `steps` lists it; may be given again",
    ).completer = lambda **_: [one.name for one in project().inventory().scriptlets]  # type: ignore[attr-defined]
    recipe.set_defaults(parser=recipe)


def run(args: argparse.Namespace) -> int:
    """Make it."""
    about = project()
    drafts = _step(args, about) if args.kind == "step" else _recipe(args, about)
    for draft in drafts:
        if (about.root / draft.path).exists():
            raise Mistake(f"there is a {draft.path} already; nothing was written")
    for draft in drafts:
        draft.write(about.root)
        say(f"created {draft.path}")
    first = drafts[0].path
    if args.kind == "step":
        say(f"next:  pytest {drafts[1].path}")
        say(f"       pytest-orchestrator new recipe {args.name} --step {first}")
    else:
        say(f"next:  pytest {first}")
    return 0


def _step(args: argparse.Namespace, about: Project) -> "Sequence[Draft]":
    from pytest_orchestrator.cli.new_files import python_step, shell_step

    folders = [name for name in about.listed("testpaths") if (about.root / name).is_dir()]
    tests = next((name for name in folders if "recipes" not in name), "tests")
    make = python_step if args.type == "python" else shell_step
    return make(args.name, list(dict.fromkeys(args.param)), tests.rstrip("/"))


def _recipe(args: argparse.Namespace, about: Project) -> "Sequence[Draft]":
    from pytest_orchestrator.cli.new_files import chosen, recipe

    scriptlets = about.inventory().scriptlets if args.step else ()
    steps = [chosen(name, scriptlets) for name in args.step]
    name = args.name.removesuffix(".yaml")
    return [recipe(name, steps, has_schema=(about.root / "recipe.schema.json").is_file())]
