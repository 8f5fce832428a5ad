"""The callable of a step: its only line is the step's line in the recipe.

Tracebacks, summaries and annotations then point into the YAML, and pytest shows the line.
"""

import ast
import types
from pathlib import Path

_BODY = """
def step(request):
    perform, ask = request.node.perform, request.getfixturevalue
    del request  # pytest shows arguments in tracebacks
    perform(ask)
"""


def callable_of(path: Path, name: str, line: int) -> types.FunctionType:
    """Return a function for pytest that runs the step of the item it is called for.

    Args:
        path: The recipe.
        name: The step's name.
        line: The step's line, from 1.
    """
    code = _CODE.replace(co_filename=str(path), co_firstlineno=line, co_name=name, co_qualname=name)
    return types.FunctionType(code, {"__name__": path.stem}, name)


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
    argument, *others = code.co_varnames
    return code.replace(co_varnames=(argument, *(f"@{name}" for name in others)))


_CODE = _on_one_line(_BODY)
