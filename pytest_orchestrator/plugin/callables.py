"""Functions that pytest calls for steps; their code objects name the recipe and the step's line.

So tracebacks, summaries and annotations point into the YAML file, and pytest shows that line.
"""

import ast
import types
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import NoReturn

from pytest_orchestrator.execution.outcome import user_frames

_ASKING = """
def step(request{names}):
    act, ask = perform, request.getfixturevalue
    del request  # pytest shows arguments in tracebacks
    act(ask)
"""

# pytest makes no request object for a function without parameters; that halves its work per step.
_ALONE = """
def step({names}):
    perform()
"""

# Parameters have their values when `--trace` stops before the first line; `result` has none then.
_NAMES = "ctx=None, vars=None, steps=None, result=None"
_RESULT = """
    try:
        {act}
    finally:
        result = get_result()
"""


def callable_of(
    path: Path, name: str, line: int, *, asks: bool, watched: bool = False
) -> types.FunctionType:
    """Return a new function for pytest to call for a step; `set_callback` sets its action.

    Args:
        path: The recipe.
        name: The name of the step.
        line: The line of the step, from 1.
        asks: True if the step requests fixtures by name.
        watched: True if a debugger is active: `show_names` sets the values of local names then.
    """
    code = _on_one_line(_source(asks=asks, watched=watched))
    code = code.replace(co_filename=str(path), co_firstlineno=line, co_name=name, co_qualname=name)
    # With a default, pytest takes a parameter for no fixture.
    defaults = (None,) * _NAMES.count("=") if watched else ()
    return types.FunctionType(code, {"__name__": path.stem}, name, defaults)


def set_callback(function: types.FunctionType, perform: Callable[..., None]) -> None:
    """Set the callback that a function made by `callable_of` calls.

    Args:
        function: The function.
        perform: The callback. Its argument is a function that returns the value of a fixture
            by its name; it has no argument if the step requests no fixtures.
    """
    function.__globals__["perform"] = perform


def show_names(
    function: types.FunctionType, names: tuple[object, ...], get_result: Callable[[], object]
) -> None:
    """Set the values of the local names of a watched function, which a debugger shows.

    Args:
        function: The function.
        names: The values of `ctx`, `vars` and `steps`.
        get_result: Returns the value of `result` after the step.
    """
    function.__defaults__ = (*names, None)
    function.__globals__["get_result"] = get_result


def at_recipe(error: BaseException, path: Path, name: str, line: int) -> BaseException:
    """Return an exception with a traceback whose only entry is a line of a recipe.

    Args:
        error: The exception; it is changed in place.
        path: The recipe.
        name: The name of the step or input at the line.
        line: The line, from 1.
    """

    def again() -> NoReturn:
        raise error.with_traceback(None)

    function = callable_of(path, name, line, asks=False)
    set_callback(function, again)
    try:
        function()
    except BaseException as raised:  # noqa: BLE001
        return user_frames(raised)
    return error


def no_fixtures(name: str) -> NoReturn:
    """Raise LookupError; this is the fixture getter of steps that name no fixtures."""
    raise LookupError(name)


def _source(*, asks: bool, watched: bool) -> str:
    """Return the source of a function for pytest to call."""
    source = (_ASKING if asks else _ALONE).format(names=", " * asks + _NAMES if watched else "")
    if watched:
        head, _, act = source.rstrip().rpartition("\n")
        source = head + _RESULT.format(act=act.strip())
    return source


@cache
def _on_one_line(source: str) -> types.CodeType:
    """Compile the source of one function; return its code object with all code on line 1."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, (ast.stmt, ast.expr, ast.arg)):
            node.lineno = node.end_lineno = 1
            # These columns are wider than any line, so pytest underlines none of them.
            node.col_offset, node.end_col_offset = 0, 10_000
    module = compile(tree, __file__, "exec")
    code = next(one for one in module.co_consts if isinstance(one, types.CodeType))
    # --showlocals hides names that begin with @, such as the names in rewritten assertions.
    arguments, others = (
        code.co_varnames[: code.co_argcount],
        code.co_varnames[code.co_argcount :],
    )
    return code.replace(co_varnames=(*arguments, *(f"@{name}" for name in others)))
