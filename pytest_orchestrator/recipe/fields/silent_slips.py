"""Check for lines of a recipe that pass and do something else than their author meant."""

import os
import re
from collections.abc import Iterator, Sequence
from itertools import islice, takewhile

from pytest_orchestrator.core.text import lazy_pattern
from pytest_orchestrator.recipe.fields.foreign_braces import is_foreign, shell_variables
from pytest_orchestrator.recipe.model.recipe import Recipe
from pytest_orchestrator.recipe.model.step import ShellStep, Source, Step
from pytest_orchestrator.recipe.problems import Problem, shortened

_USED = lazy_pattern(r"\$\{?(\w+)(?!\w|:?[-=])")
_EXPORTED = lazy_pattern(r"(?m)^\s*export (\w+)=")
_Slip = tuple[str, str, str]
"""Key of a step, sentence and cure."""


def silent_slips(recipe: Recipe) -> dict[Problem, Recipe | Source]:
    """Return a problem for each line that runs and probably does not do what it seems to say.

    Args:
        recipe: The recipe.

    Returns:
        The file of each problem; the cells of a matrix have one.
    """
    found = shell_variables(recipe)
    exports: dict[str, str] = {}
    rows: dict[str, list[str]] = {}
    for step in (*recipe.steps, *recipe.final):
        source = recipe.source(step)
        if source.id not in rows:  # to split the text for each step would be quadratic
            rows[source.id] = source.text.splitlines()
        slips = [*_of_condition(step, recipe)]
        if isinstance(step, ShellStep) and isinstance(step.cmd, str) and not is_foreign(step.shell):
            slips += [*_of_yaml(step, rows[source.id]), *_of_variables(step, step.cmd, exports)]
        found |= {Problem(step.at[key], head, hint=hint): source for key, head, hint in slips}
    return found


def _of_condition(step: Step, recipe: Recipe) -> Iterator[_Slip]:
    """Yield a slip if the `if` of a step is a var with a text such as ``no``."""
    match = re.fullmatch(r"(?:not +)?vars\.(\w+)", step.if_.text.strip()) if step.if_ else None
    value = recipe.vars.get(match[1]) if match and step.file_use is None else None
    if match and isinstance(value, str) and value.lower() in ("no", "off", "false"):
        head = f"vars.{match[1]} is the text '{value}', and every text but an empty one is true"
        yield "if", head, "write false"


def _of_yaml(step: ShellStep, rows: Sequence[str]) -> Iterator[_Slip]:
    """Yield a slip if YAML joins the lines of a command, or ends it at a comment."""
    place = step.at["cmd"]
    first = rows[place.line - 1]
    written = first[place.column - 1 :]
    rest = written[place.length :]
    if written.startswith(">"):
        margin = len(first) - len(first.lstrip(" -")) + 1
        lines = takewhile(lambda row: not row[:margin].strip(), islice(rows, place.line, None))
        programs = [line.split()[0] for line in lines if line.strip()]
        if len({*programs}) < len(programs):
            yield "cmd", "`>` joins these lines into one command", "`|` keeps the lines"
    elif "#" in rest and written[0] not in "'\"|" and re.match(r" +#\S", rest):
        cut = shortened(rest.strip())
        yield "cmd", f"'{cut}' is a comment of YAML and not in the command", "quote the command"


def _of_variables(step: ShellStep, cmd: str, exports: dict[str, str]) -> Iterator[_Slip]:
    """Yield a slip for each variable of the shell that only an earlier step, or a loop, has set.

    Args:
        step: The step.
        cmd: Its command.
        exports: The step that exported each variable; the exports of this step are added.
    """
    if "$" not in cmd and "export" not in cmd:
        return
    for name in dict.fromkeys(_USED.findall(cmd)):
        sets = rf"(?m)\b{name}=|\b{name} in\b|\bread\b|^\s*(?:\.|source) "
        if name in step.args or name in os.environ or re.search(sets, cmd):
            continue
        if name in exports:
            head = f"${name} is empty: what step '{exports[name]}' exports ends with that step"
            yield "cmd", head, f"put {name} into 'env' at the root"
        elif name in ("item", "index") and step.foreach is not None:
            yield "cmd", f"${name} is an empty variable of the shell", f"write ${{{{ {name} }}}}"
    exports |= dict.fromkeys(_EXPORTED.findall(cmd), step.name)
