"""Callables of steps, compiled with the line of the step in the recipe.

Tracebacks, summaries and annotations then point into the YAML, and pytest shows the line.
"""

import ast
import types
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

_ASKING = """
def step(request):
    act, ask = perform, request.getfixturevalue
    del request  # pytest shows arguments in tracebacks
    act(ask)
"""

# What asks for nothing is half the work for pytest: no request is made for it.
_ALONE = """
def step():
    perform()
"""


def callable_of(path: Path, name: str, line: int, *, asks: bool) -> types.FunctionType:
    """Return a function for pytest that runs a step, once it was told how by `let_perform`.

    Args:
        path: The recipe.
        name: The step's name.
        line: The step's line, from 1.
        asks: The step asks for fixtures by name.
    """
    code = _ASKS if asks else _ASKS_NOTHING
    code = code.replace(co_filename=str(path), co_firstlineno=line, co_name=name, co_qualname=name)
    return types.FunctionType(code, {"__name__": path.stem}, name)


def let_perform(function: types.FunctionType, perform: Callable[..., None]) -> None:
    """Tell a function of `callable_of` what runs its step.

    Args:
        function: The function.
        perform: Is called with what gives the value of a fixture by its name, or with nothing.
    """
    function.__globals__["perform"] = perform


def nothing_named(name: str) -> NoReturn:
    """Stand for what gives the values of fixtures, where a step names none."""
    raise LookupError(name)


def _on_one_line(source: str) -> types.CodeType:
    """Compile the body of all steps so that it stands on its first line, columns and all."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, (ast.stmt, ast.expr, ast.arg)):
            node.lineno = node.end_lineno = 1
            # As wide as any line: pytest then marks none of its columns.
            node.col_offset, node.end_col_offset = 0, 10_000
    module = compile(tree, __file__, "exec")
    code = next(one for one in module.co_consts if isinstance(one, types.CodeType))
    # With --showlocals pytest leaves names like these out, as its own of assertions.
    arguments, others = (
        code.co_varnames[: code.co_argcount],
        code.co_varnames[code.co_argcount :],
    )
    return code.replace(co_varnames=(*arguments, *(f"@{name}" for name in others)))


_ASKS, _ASKS_NOTHING = map(_on_one_line, (_ASKING, _ALONE))
