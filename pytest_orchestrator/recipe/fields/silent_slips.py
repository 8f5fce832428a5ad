"""Checks for text of other tools, and for lines that pass and do something else than was meant.

Text such as ``{{ vars.x }}``, ``${vars.x}`` and ``$x`` is no expression and would reach a program
as it is, while the step passes.
"""

import os
import re
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import islice, takewhile
from typing import Any, Final

from pytest_orchestrator.core.location import Place
from pytest_orchestrator.core.text import lazy_pattern
from pytest_orchestrator.recipe.expressions import command_line
from pytest_orchestrator.recipe.model.recipe import Recipe
from pytest_orchestrator.recipe.model.step import ShellStep, Source, Step
from pytest_orchestrator.recipe.parsing.nodes import nodes_of, pairs
from pytest_orchestrator.recipe.problems import Problem, Problems, shortened
from pytest_orchestrator.recipe.pyyaml import MappingNode, Node, ScalarNode

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


_NAMES: Final = "vars|env|ctx|steps|matrix|item|unit|run|recipe|result|index"
# An expression ends before the first `}}` that is not in quotes; `$${{` is no expression.
_OWN: Final = (
    r"(?s)\$\$\{\{.*?\}\}"
    r"""|\$\{\{(?:'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"|(?!\}\}).)*"""
)
_BRACED = lazy_pattern(
    rf"{_OWN}|\{{\{{\s*((?:{_NAMES})\.(?:[^{{}}\n]*(?=\}}\}})|[\w.]*))(?:\}}\}})?"
    rf"|\$\{{((?:{_NAMES})\.[\w.]*)(?:[^{{}}\n]*\}})?"
    r"|\{\{\s*(\w+)\s*\}\}"
)
_VARIABLE = lazy_pattern(
    rf"{_OWN}|\$(?:((vars|ctx|steps|matrix)\.(\w*(?:\.\w+)*))|(\w+)|\{{(\w+)\}})"
)
_ASSIGNED: Final = (
    r"(?m)(?:^|[;&|({`]|\b(?:export|local|declare|readonly|then|do|else)\b)\s*(?:\w+=\S*\s+)*%s\+?="
    r"|\b(?:read|for|getopts|mapfile|readarray|printf)\b[^\n;$]*\b%s\b"
)
"""Assignment of a variable in a script; twice the place of its name."""
_NO_TEXT = lazy_pattern(
    r"x-.*|description|message|if|foreach|retry/(until|abort_if)|success/assert/\d+"
    r"|measurements/.*/value|(test_meta|(inputs|fields)/.*)/description"
)
"""Paths, in the root or in a step, of bare expressions and of texts that people read."""


def check_braces(
    text: str, root: MappingNode, shell: str | tuple[str, ...] | None, problems: Problems
) -> None:
    """Report each value of a file that has the braces of another tool.

    Args:
        text: The complete text, without a byte order mark.
        root: Its checked root.
        shell: The shell of command lines without a key ``shell``.
        problems: Receives the problems.
    """
    if not any(_chain(one, problems) for one in _BRACED.finditer(text)):  # most files
        return
    keys = pairs(root)
    defaults = keys.get("defaults", (root, root))[1]
    for path, node in nodes_of(root):
        layers: tuple[Node, ...] = (defaults, root) if path[:1] == ("defaults",) else (root,)
        own = path[1:] if path[:1] == ("defaults",) else path
        if path[:1] in (("steps",), ("finally",)) and len(path) > 1:
            layers, own = (keys[str(path[0])][1].value[path[1]], defaults, root), path[2:]
        is_command = own == ("cmd",) or (path[:1] == ("sampling",) and path[2:] == ("cmd",))
        if (
            type(node) is ScalarNode
            and not _NO_TEXT.fullmatch("/".join(map(str, own)))
            and str(_setting("literal_braces", *layers)).lower() != "true"
            and not (is_command and is_foreign(_setting("shell", *layers[:-1]) or shell))
        ):
            _report(node, text, problems)


def _setting(key: str, *layers: Node) -> Any:
    """Return the text or the tuple of the value of a key in the first mapping that has it."""
    for layer in layers:
        if type(layer) is MappingNode and key in pairs(layer):
            value = pairs(layer)[key][1].value
            return (*value,) if type(value) is list else value
    return None


def _chain(match: re.Match[str], problems: Problems) -> str:
    """Return the expression that a match means; empty if it is none of this file."""
    return match[1] or match[2] or problems.variables.get(match[3] or "", "")


def _report(node: ScalarNode, text: str, problems: Problems) -> None:
    for match in _BRACED.finditer(text, node.start_mark.index, node.end_mark.index):
        if chain := _chain(match, problems):
            column = match.start() - text.rfind("\n", 0, match.start())
            line = text.count("\n", 0, match.start()) + 1
            cure = f"write ${{{{ {chain.strip()} }}}}"
            hint = f"{cure}; where the text itself is meant, say 'literal_braces: true'"
            head = f"'{shortened(' '.join(match[0].split()))}' is plain text, no expression"
            place = Place(line, column, len(match[0].partition("\n")[0]))
            problems.add(place, head, hint=hint)


def is_foreign(shell: str | tuple[str, ...] | None) -> bool:
    """Return True if a command line is code of another language than that of `sh` and `bash`."""
    return isinstance(shell, tuple) or shell == "python"


def shell_variables(recipe: Recipe) -> dict[Problem, Recipe | Source]:
    """Return a problem for each ``$vars.x`` in a command line, which the shell reads as ``$vars``.

    So is ``$x`` if the file declares `x`, and neither the script nor the environment sets it.

    Args:
        recipe: The recipe.

    Returns:
        The file of each problem; the cells of a matrix have one.
    """
    written = {name: f"vars.{name}" for name in recipe.var_names}
    written |= {name: f"matrix.{name}" for name in recipe.matrix.keys() - {"include", "exclude"}}
    found: dict[Problem, Recipe | Source] = {}
    for value in recipe.test_meta.values():
        match = _VARIABLE.fullmatch(value) if isinstance(value, str) else None
        if match and (problem := _problem(match, written, recipe.at["test_meta"])):
            found[problem] = recipe
    for step in (*recipe.steps, *recipe.final, *(one.step for one in recipe.samplers)):
        if not isinstance(step, ShellStep) or step.literal_braces or is_foreign(step.shell):
            continue
        for line in [step.cmd] if isinstance(step.cmd, str) and "$" in step.cmd else []:
            free = {} if step.file_use else _unset(written, line, {*step.args})
            problems = [_problem(one, free, step.at["cmd"]) for one in _VARIABLE.finditer(line)]
            if not any(problems):  # to read the quotes of a command takes longer
                continue
            marked = _VARIABLE.sub(partial(_mark, iter(problems)), line)
            # A quoted end word of a here-document has a mark and no context.
            wrong = filter(None, problems)
            for problem, read_as in zip(wrong, command_line.contexts(marked), strict=False):
                if read_as in (command_line.PLAIN, command_line.DOUBLE, command_line.ARITHMETIC):
                    found[problem] = recipe.source(step)
    return found


def _mark(problems: Iterator[Problem | None], _: re.Match[str]) -> str:
    return command_line.MARK if next(problems) else "x"


def _unset(written: dict[str, str], line: str, env: set[str]) -> dict[str, str]:
    """Return the declared values whose names a command line does not set, nor its environment."""
    return {
        name: chain
        for name, chain in written.items()
        if name in line
        and name not in env | os.environ.keys()
        and not re.search(_ASSIGNED % (name, name), line)
    }


def _problem(match: re.Match[str], written: dict[str, str], place: Place) -> Problem | None:
    """Return the problem of a variable of the shell that means an expression, else None."""
    name = match[4] or match[5] or ""
    if not match[1] and name not in written:
        return None
    cure = f"write ${{{{ {match[1] or written[name]} }}}}; "
    own = f"for the shell's ${{{match[2]}}}.{match[3]}" if match[1] else f"or set {name} in 'env'"
    return Problem(place, f"'{match[0]}' is no expression", hint=cure + own)
