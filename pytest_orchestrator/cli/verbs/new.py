"""Create a scriptlet with its test, or a recipe, from a template that runs unchanged."""

import argparse
import json
import keyword
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_orchestrator.cli.arguments import OneOf, UsageError, with_example
from pytest_orchestrator.cli.project import Project, project
from pytest_orchestrator.reports.text import say

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pytest_orchestrator.scriptlets.model import Scriptlet


_VALUE = "value"
_SCHEMA_FILE = "recipe.schema.json"
_RESERVED = {"ctx": "the Context", "params": "the mapping of all parameters"}


class _TemplateStep(NamedTuple):
    """A step of a new recipe."""

    name: str
    type: str
    params: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    module: str = ""
    kind: str = ""
    target: str = ""
    cmd: str = ""
    parse: str = ""


def python_step(name: str, params: "Sequence[str]", tests: str, *, is_full: bool) -> "list[Draft]":
    """Return a Python scriptlet and its test.

    Args:
        name: The name of the module, and of the function in it.
        params: The names of its parameters.
        tests: The folder for the test.
        is_full: True for a class with its documentation in sections, which also runs alone.

    Raises:
        UsageError: A name is not valid.
    """
    _check(
        name, r"[a-z_][a-z0-9_]*", "a module", "lower-case letters, digits and _", is_python=True
    )
    if re.match(r"test_|conftest$", name) or name.endswith("_test"):
        raise UsageError(f"pytest collects '{name}' as a test; use another name, such as check_…")
    if name in sys.stdlib_module_names:  # a file that runs alone has its folder on sys.path
        raise UsageError(
            f"'{name}' is a module of Python; scriptlets beside it could not import that any more"
        )
    for param in params:
        _check(param, r"[A-Za-z_]\w*", "a parameter", "letters, digits and _", is_python=True)
        if param in _RESERVED and not is_full:
            raise UsageError(f"'{param}' is {_RESERVED[param]}; use another name for a parameter")
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
    form = "full" if is_full else "short"
    return [
        Draft(path, render_template(f"new/{form}_step.py", **values)),
        Draft(f"{tests}/test_{name}.py", render_template(f"new/test_{form}_step.py", **values)),
    ]


def shell_step(name: str, params: "Sequence[str]", tests: str, *, is_full: bool) -> "list[Draft]":
    """Return a shell script and its test; see `python_step`."""
    name = name.removesuffix(".sh")
    _check(name, r"[A-Za-z_][\w-]*", "a script", "letters, digits, _ and -")
    for param in params:
        _check(param, r"[A-Z_][A-Z0-9_]*", "a variable", "upper-case letters, digits and _")
    file = f"{name}.sh"
    path = f"scriptlets/shell/{file}"
    test = name.lower().replace("-", "_")
    echoed = {param.lower(): _VALUE for param in params} if is_full else {}
    values = {
        "file": file,
        "path": path,
        "params": params,
        "test": test,
        "given": json.dumps(dict.fromkeys(params, _VALUE)),
        "answer": json.dumps({"status": "ok", **echoed}),
    }
    form = "full" if is_full else "short"
    return [
        Draft(path, render_template(f"new/{form}_step.sh", **values), may_run=True),
        Draft(f"{tests}/test_{test}.py", render_template("new/test_step_sh.py", **values)),
    ]


def recipe_draft(name: str, scriptlets: "Iterable[Scriptlet]", *, schema: str) -> "Draft":
    """Return a recipe that calls scriptlets, one a step.

    Args:
        name: The name of its file.
        scriptlets: The scriptlets that it calls, in order; without any it prints a greeting.
        schema: The address of the JSON Schema in its first line, for editors; empty for a recipe
            without this line.

    Raises:
        UsageError: The name is not valid.
    """
    _check(name, r"[A-Za-z_][\w-]*", "a recipe", "letters, digits, _ and -")
    steps: list[_TemplateStep] = []
    for one in scriptlets:
        new = _template_step(one)
        count = sum(re.fullmatch(rf"{new.name}(_\d+)?", step.name) is not None for step in steps)
        steps.append(new._replace(name=f"{new.name}_{count + 1}") if count else new)
    steps = steps or [_TemplateStep("hello", "shell", cmd="echo hello", parse="text")]
    text = render_template("new/recipe.yaml", name=name, steps=steps, schema=schema)
    return Draft(f"recipes/{name}.yaml", text)


def _template_step(one: "Scriptlet") -> _TemplateStep:
    required = tuple(param.name for param in one.params if param.required)
    if one.kind == "script":
        stem = re.sub(r"[^\w-]", "_", one.name.partition(".")[0])
        cmd = one.path if "/" in one.path else f"./{one.path}"
        return _TemplateStep(stem, "shell", required, cmd=cmd)
    step = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", one.name).lower()
    module = one.module or ""
    return _TemplateStep(step, "python", required, one.writes, module, one.kind, one.name)


def chosen_scriptlet(name: str, scriptlets: "Sequence[Scriptlet]") -> "Scriptlet":
    """Return the scriptlet with a name, which may be its own or that of its file, path or module.

    Raises:
        UsageError: No scriptlet or several have the name; the text suggests the nearest.
    """
    from pytest_orchestrator.core.suggestions import nearest

    by_name: dict[str, list[Scriptlet]] = {}
    for one in scriptlets:
        for each in dict.fromkeys(_names(one)):
            by_name.setdefault(each, []).append(one)
    matches = by_name.get(name, [])
    if not matches:
        hint = nearest(name, by_name) or "; pytest-orchestrator steps lists all scriptlets"
        raise UsageError(f"there is no scriptlet '{name}'{hint}")
    if len(matches) > 1:
        choices = ", ".join(f"{one.module or one.path}{_dotted(one)}" for one in matches)
        raise UsageError(f"'{name}' may be {choices}")
    if matches[0].error is not None:
        raise UsageError(f"{matches[0].path} {matches[0].error}")
    return matches[0]


def _dotted(one: "Scriptlet") -> str:
    return f".{one.name}" if one.module else ""


def _names(one: "Scriptlet") -> "Iterator[str]":
    yield from (one.name, Path(one.path).stem, one.path)
    if one.module:
        yield from (one.module, f"{one.module}.{one.name}")


def _check(name: str, pattern: str, what: str, signs: str, *, is_python: bool = False) -> None:
    if is_python and keyword.iskeyword(name):
        raise UsageError(
            f"'{name}' is a keyword of Python and cannot name {what}; use another name, such as "
            f"'{name.lower()}_'"
        )
    if not re.fullmatch(pattern, name):
        fixed = re.sub(r"\W", "_", name)
        variants = (fixed, fixed.lower(), fixed.upper())
        valid = next((one for one in variants if _fits(pattern, one)), "")
        hint = f" (such as '{valid}')" if valid else ""
        raise UsageError(f"'{name}' is not a valid name of {what}: use only {signs}{hint}")


def _fits(pattern: str, name: str) -> bool:
    return re.fullmatch(pattern, name) is not None and not keyword.iskeyword(name)


EXAMPLE = "new step count_words --type shell --param INPUT"


def declare(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command."""
    kinds = parser.add_subparsers(metavar="step|recipe", dest="kind", required=True)
    _declare_step(kinds)
    _declare_recipe(kinds)


def _declare_step(kinds: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    step = kinds.add_parser("step", help="create a scriptlet and its test", **with_example(EXAMPLE))
    step.add_argument("name", metavar="NAME", help="the name of its file, without the suffix")
    step.add_argument(
        "--type",
        type=OneOf("type", ("python", "shell")),
        default="python",
        metavar="python|shell",
        help="its language (default: python)",
    )
    step.add_argument(
        "--param",
        action="append",
        default=[],
        metavar="P",
        help="a parameter, or an environment variable of a script; can be repeated",
    )
    step.add_argument(
        "--full",
        action="store_true",
        help="create the long form instead of a function or a script of a few lines: a class, or a "
        "script that checks its variables, which follows all conventions of `steps`",
    )
    step.set_defaults(parser=step)


def _declare_recipe(kinds: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    recipe = kinds.add_parser(
        "recipe",
        help="create a recipe that calls scriptlets",
        **with_example("new recipe words --step sample.sh"),
    )
    recipe.add_argument("name", metavar="NAME", help="the name of its file, without the suffix")
    recipe.add_argument(
        "--step",
        action="append",
        default=[],
        metavar="S",
        help="a scriptlet: its name, file or module, as `steps` lists it; can be repeated",
    ).completer = lambda **_: [one.name for one in project().inventory().scriptlets]  # type: ignore[attr-defined]
    recipe.set_defaults(parser=recipe)


def run(args: argparse.Namespace) -> int:
    """Write the files and print the next command."""
    about = project()
    drafts = _step(args, about) if args.kind == "step" else _recipe(args, about)
    for draft in drafts:
        # A method of Path raises an error if a name is too long; `Draft.write` says so.
        if os.path.exists(about.root / draft.path):
            raise UsageError(f"{draft.path} already exists; nothing was written")
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
    params = list(dict.fromkeys(args.param))
    return make(args.name, params, tests.rstrip("/"), is_full=args.full)


def _recipe(args: argparse.Namespace, about: Project) -> "Sequence[Draft]":
    scriptlets = about.inventory().scriptlets if args.step else ()
    steps = [chosen_scriptlet(name, scriptlets) for name in args.step]
    name = args.name.removesuffix(".yaml")
    schema = f"../{_SCHEMA_FILE}" if (about.root / _SCHEMA_FILE).is_file() else ""
    return [recipe_draft(name, steps, schema=schema)]


_TEMPLATES = Path(__file__).parents[1] / "templates"


class Draft(NamedTuple):
    """A file to be written.

    Attributes:
        path: Path of the file, relative to the folder of the project.
        text: Its content.
        note: Its purpose, in a few words.
        may_run: True if the file is to be executable.
    """

    path: str
    text: str
    note: str = ""
    may_run: bool = False

    def write(self, root: Path) -> None:
        """Write the file; never replace an existing one.

        Raises:
            UsageError: The file exists, or cannot be written.
        """
        path = root / self.path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("x", encoding="utf-8", newline="\n") as file:
                file.write(self.text)
            if self.may_run:
                path.chmod(path.stat().st_mode | (path.stat().st_mode & 0o444) >> 2)
        except FileExistsError as error:
            raise UsageError(f"{error.filename} already exists") from None
        except OSError as error:
            raise UsageError(f"{self.path} cannot be written: {error.strerror}") from None


def render_template(template: str, **values: Any) -> str:
    """Return the rendered text of a template with expressions between `«` and `»`."""
    import jinja2

    environment = jinja2.Environment(  # noqa: S701  # no template is HTML
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        undefined=jinja2.StrictUndefined,
        variable_start_string="«",
        variable_end_string="»",
        block_start_string="«%",
        block_end_string="%»",
        comment_start_string="«#",
        comment_end_string="#»",
        keep_trailing_newline=True,
    )
    environment.filters["json_of"] = lambda params: json.dumps(dict.fromkeys(params, "value"))
    return environment.get_template(f"{template}.j2").render(values)
