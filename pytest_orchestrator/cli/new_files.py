"""The files of a new step and of a new recipe."""

import json
import keyword
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pytest_orchestrator.cli.drafts import Draft, rendered
from pytest_orchestrator.cli.mistakes import Mistake
from pytest_orchestrator.core.suggestions import nearest

if TYPE_CHECKING:
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


def python_step(name: str, params: Sequence[str], tests: str) -> list[Draft]:
    """Return a python scriptlet and its test.

    Args:
        name: The name of the module.
        params: The names of its parameters.
        tests: The folder for the test.

    Raises:
        Mistake: A name cannot be used.
    """
    _check(name, r"[a-z_][a-z0-9_]*", "a module", "small letters, digits and _")
    if re.match(r"test_|conftest$", name) or name.endswith("_test"):
        raise Mistake(f"'{name}' is the name of a test for pytest; call it check_… or so")
    if name in sys.stdlib_module_names:  # a file that runs alone has its folder on the path
        raise Mistake(
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


def shell_step(name: str, params: Sequence[str], tests: str) -> list[Draft]:
    """Return a script and its test; see `python_step`."""
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


def recipe(name: str, scriptlets: Iterable["Scriptlet"], *, has_schema: bool) -> Draft:
    """Return a recipe that calls scriptlets, one a step.

    Args:
        name: The name of its file.
        scriptlets: What it calls, in order; a greeting where there is none.
        has_schema: Whether the project has the schema of recipes.

    Raises:
        Mistake: The name cannot be used.
    """
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
    required = tuple(param.name for param in one.params if param.required)
    if one.kind == "script":
        stem = re.sub(r"[^\w-]", "_", one.name.partition(".")[0])
        cmd = one.path if "/" in one.path else f"./{one.path}"
        return _Called(stem, "shell", required, cmd=cmd)
    step = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", one.name).lower()
    module = one.module or ""
    return _Called(step, "python", required, one.writes, module, one.kind, one.name)


def chosen(name: str, scriptlets: Sequence["Scriptlet"]) -> "Scriptlet":
    """Return the scriptlet that a name means: its own, or that of its file, path or module.

    Raises:
        Mistake: It means none, or several; the text has the nearest.
    """
    known: dict[str, list[Scriptlet]] = {}
    for one in scriptlets:
        for each in dict.fromkeys(_names(one)):
            known.setdefault(each, []).append(one)
    found = known.get(name, [])
    if not found:
        there = nearest(name, known) or "; pytest-orchestrator steps lists what there is"
        raise Mistake(f"there is no scriptlet '{name}'{there}")
    if len(found) > 1:
        which = ", ".join(f"{one.module or one.path}{_dotted(one)}" for one in found)
        raise Mistake(f"'{name}' may be {which}")
    if found[0].error is not None:
        raise Mistake(f"{found[0].path} {found[0].error}")
    return found[0]


def _dotted(one: "Scriptlet") -> str:
    return f".{one.name}" if one.module else ""


def _names(one: "Scriptlet") -> Iterator[str]:
    yield from (one.name, Path(one.path).stem, one.path)
    if one.module:
        yield from (one.module, f"{one.module}.{one.name}")


def _check(name: str, pattern: str, what: str, of: str) -> None:
    if not re.fullmatch(pattern, name) or keyword.iskeyword(name):
        good = re.sub(r"\W", "_", name)
        near = next((one for one in (good, good.lower(), good.upper()) if _fits(pattern, one)), "")
        hint = f" (such as '{near}')" if near else ""
        raise Mistake(f"'{name}' is no name of {what}: it has {of}{hint}")


def _fits(pattern: str, name: str) -> bool:
    return re.fullmatch(pattern, name) is not None and not keyword.iskeyword(name)
