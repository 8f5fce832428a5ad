"""Make a scriptlet with its test, or a recipe, each from a template that runs as it is."""

import argparse
from typing import TYPE_CHECKING, NamedTuple

from pytest_orchestrator.cli.arguments import UsageError, one_of, with_example
from pytest_orchestrator.cli.project import Project, project
from pytest_orchestrator.reports.text import say

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pytest_orchestrator.cli.scaffold import Draft
    from pytest_orchestrator.scriptlets.model import Scriptlet

_VALUE = "value"


class _Called(NamedTuple):
    """A step of a new recipe."""

    name: str
    type: str
    given: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    module: str = ""
    kind: str = ""
    target: str = ""
    cmd: str = ""
    parse: str = ""


def python_step(name: str, params: "Sequence[str]", tests: str) -> "list[Draft]":
    """Return a python scriptlet and its test.

    Args:
        name: The name of the module.
        params: The names of its parameters.
        tests: The folder for the test.

    Raises:
        Mistake: A name cannot be used.
    """
    import json
    import re
    import sys

    from pytest_orchestrator.cli.scaffold import Draft, rendered

    _check(name, r"[a-z_][a-z0-9_]*", "a module", "small letters, digits and _")
    if re.match(r"test_|conftest$", name) or name.endswith("_test"):
        raise UsageError(f"'{name}' is the name of a test for pytest; call it check_… or so")
    if name in sys.stdlib_module_names:  # a file that runs alone has its folder on the path
        raise UsageError(
            f"'{name}' is a module of Python, which nobody beside it could import any more"
        )
    for param in params:
        _check(param, r"[A-Za-z_]\w*", "a parameter", "letters, digits and _")
    path = f"scriptlets/python/steps/{name}.py"
    values = {
        "name": name,
        "path": path,
        "module": path.removesuffix(".py").replace("/", "."),
        "class_": "".join(part.title() for part in name.split("_")) or "Step",
        "key": f"{name}.result_v1",
        "params": params,
        "required": json.dumps(list(params)),
        "given": json.dumps(dict.fromkeys(params, _VALUE)),
    }
    return [
        Draft(path, rendered("new/step.py", **values)),
        Draft(f"{tests}/test_{name}.py", rendered("new/test_step.py", **values)),
    ]


def shell_step(name: str, params: "Sequence[str]", tests: str) -> "list[Draft]":
    """Return a script and its test; see `python_step`."""
    import json

    from pytest_orchestrator.cli.scaffold import Draft, rendered

    name = name.removesuffix(".sh")
    _check(name, r"[A-Za-z_][\w-]*", "a script", "letters, digits, _ and -")
    for param in params:
        _check(param, r"[A-Z_][A-Z0-9_]*", "a variable", "capitals, digits and _")
    file = f"{name}.sh"
    path = f"scriptlets/shell/{file}"
    test = name.lower().replace("-", "_")
    answer = {"status": "ok", **{param.lower(): _VALUE for param in params}}
    values = {
        "file": file,
        "path": path,
        "params": params,
        "test": test,
        "given": json.dumps(dict.fromkeys(params, _VALUE)),
        "answer": json.dumps(answer),
    }
    return [
        Draft(path, rendered("new/step.sh", **values), may_run=True),
        Draft(f"{tests}/test_{test}.py", rendered("new/test_step_sh.py", **values)),
    ]


def recipe_draft(name: str, scriptlets: "Iterable[Scriptlet]", *, has_schema: bool) -> "Draft":
    """Return a recipe that calls scriptlets, one a step.

    Args:
        name: The name of its file.
        scriptlets: What it calls, in order; a greeting where there is none.
        has_schema: Whether the project has the schema of recipes.

    Raises:
        Mistake: The name cannot be used.
    """
    import re

    from pytest_orchestrator.cli.scaffold import Draft, rendered

    _check(name, r"[A-Za-z_][\w-]*", "a recipe", "letters, digits, _ and -")
    steps: list[_Called] = []
    for one in scriptlets:
        called = _called(one)
        count = sum(re.fullmatch(rf"{called.name}(_\d+)?", step.name) is not None for step in steps)
        steps.append(called._replace(name=f"{called.name}_{count + 1}") if count else called)
    steps = steps or [_Called("hello", "shell", cmd="echo hello", parse="text")]
    schema = "../recipe.schema.json" if has_schema else ""
    text = rendered("new/recipe.yaml", name=name, steps=steps, schema=schema)
    return Draft(f"recipes/{name}.yaml", text)


def _called(one: "Scriptlet") -> _Called:
    import re

    required = tuple(param.name for param in one.params if param.required)
    if one.kind == "script":
        stem = re.sub(r"[^\w-]", "_", one.name.partition(".")[0])
        cmd = one.path if "/" in one.path else f"./{one.path}"
        return _Called(stem, "shell", required, cmd=cmd)
    step = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", one.name).lower()
    module = one.module or ""
    return _Called(step, "python", required, one.writes, module, one.kind, one.name)


def chosen_scriptlet(name: str, scriptlets: "Sequence[Scriptlet]") -> "Scriptlet":
    """Return the scriptlet that a name means: its own, or that of its file, path or module.

    Raises:
        Mistake: It means none, or several; the text has the nearest.
    """
    from pytest_orchestrator.core.suggestions import nearest

    known: dict[str, list[Scriptlet]] = {}
    for one in scriptlets:
        for each in dict.fromkeys(_names(one)):
            known.setdefault(each, []).append(one)
    found = known.get(name, [])
    if not found:
        there = nearest(name, known) or "; pytest-orchestrator steps lists what there is"
        raise UsageError(f"there is no scriptlet '{name}'{there}")
    if len(found) > 1:
        which = ", ".join(f"{one.module or one.path}{_dotted(one)}" for one in found)
        raise UsageError(f"'{name}' may be {which}")
    if found[0].error is not None:
        raise UsageError(f"{found[0].path} {found[0].error}")
    return found[0]


def _dotted(one: "Scriptlet") -> str:
    return f".{one.name}" if one.module else ""


def _names(one: "Scriptlet") -> "Iterator[str]":
    from pathlib import Path

    yield from (one.name, Path(one.path).stem, one.path)
    if one.module:
        yield from (one.module, f"{one.module}.{one.name}")


def _check(name: str, pattern: str, what: str, of: str) -> None:
    import keyword
    import re

    if not re.fullmatch(pattern, name) or keyword.iskeyword(name):
        good = re.sub(r"\W", "_", name)
        near = next((one for one in (good, good.lower(), good.upper()) if _fits(pattern, one)), "")
        hint = f" (such as '{near}')" if near else ""
        raise UsageError(f"'{name}' is no name of {what}: it has {of}{hint}")


def _fits(pattern: str, name: str) -> bool:
    import keyword
    import re

    return re.fullmatch(pattern, name) is not None and not keyword.iskeyword(name)


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
            raise UsageError(f"there is a {draft.path} already; nothing was written")
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

    folders = [name for name in about.listed("testpaths") if (about.root / name).is_dir()]
    tests = next((name for name in folders if "recipes" not in name), "tests")
    make = python_step if args.type == "python" else shell_step
    return make(args.name, list(dict.fromkeys(args.param)), tests.rstrip("/"))


def _recipe(args: argparse.Namespace, about: Project) -> "Sequence[Draft]":

    scriptlets = about.inventory().scriptlets if args.step else ()
    steps = [chosen_scriptlet(name, scriptlets) for name in args.step]
    name = args.name.removesuffix(".yaml")
    return [recipe_draft(name, steps, has_schema=(about.root / "recipe.schema.json").is_file())]
