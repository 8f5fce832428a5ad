"""The scriptlets of a Python file: read, never imported."""

import ast
from collections.abc import Collection, Iterator

from pytest_orchestrator.inventory.model import Scriptlet
from pytest_orchestrator.inventory.python_params import params_of
from pytest_orchestrator.inventory.sections import cleaned, sections, summary
from pytest_orchestrator.recipe.analysis.python_source import ANY, Function, flow_of, parameters
from pytest_orchestrator.recipe.analysis.source_files import Module

BASE = "BaseScriptlet"

_GIVEN = {"ctx", "context", "params"}


def scriptlets_of(
    module: Module, path: str, *, named: Collection[str] = (), every: bool
) -> Iterator[Scriptlet]:
    """Return the scriptlets of a file, in its order.

    Args:
        module: What is known of the file.
        path: The file, relative to the rootdir.
        named: What steps of recipes name in it.
        every: Take all that a step can call, not only what is named and classes below
            `BaseScriptlet`.
    """
    text = docstring(module.tree)
    known = sections(text)
    for name, node in module.names.items():
        if not isinstance(node, ast.ClassDef | Function):
            continue
        functions = [node] if isinstance(node, Function) else list(_methods(node, module))
        if name not in named and (name.startswith("_") or not _is_one(node, module, every=every)):
            continue
        own = docstring(node).partition("\n")[0]
        writes = flow_of(module, name).writes
        yield Scriptlet(
            name=name,
            kind="class" if isinstance(node, ast.ClassDef) else "function",
            path=path,
            line=node.lineno,
            module=path.removesuffix(".py").replace("/", "."),
            summary=own or summary(text, known),
            params=params_of(functions, module.names),
            returns=known.get("RETURNS", ""),
            writes=tuple(sorted({key for key, _ in writes if ANY not in key})),
        )


def docstring(node: ast.Module | ast.ClassDef | Function | None) -> str:
    """Return what a module, class or function says of itself; empty where that is nothing."""
    return cleaned((node and ast.get_docstring(node, clean=False)) or "")


def _is_one(node: ast.ClassDef | Function, module: Module, *, every: bool) -> bool:
    """Tell whether a step can call it as it stands."""
    if isinstance(node, ast.ClassDef):
        run = next((each for each in _methods(node, module) if each.name == "run"), None)
        return run is not None and (every or BASE in _bases(node, module))
    taken, defaults = parameters(node), len(node.args.defaults)
    required = taken[: len(taken) - defaults - len(node.args.kwonlyargs)]
    return every and bool(_GIVEN & {*taken}) and {*required} <= _GIVEN


def _bases(node: ast.ClassDef, module: Module) -> set[str]:
    """Return the last names of all classes that one derives from."""
    found: set[str] = set()
    left = [node]
    while left:
        for base in left.pop().bases:
            name = ast.unparse(base).rpartition(".")[2].partition("[")[0]
            parent = module.names.get(name)
            if name not in found and isinstance(parent, ast.ClassDef):
                left.append(parent)
            found.add(name)
    return found


def _methods(node: ast.ClassDef, module: Module) -> Iterator[Function]:
    """Return the methods of a class, then those of classes of the module that it derives from."""
    seen: set[str] = set()
    parents = (module.names.get(name) for name in sorted(_bases(node, module)))
    for each in (node, *(one for one in parents if isinstance(one, ast.ClassDef))):
        for method in each.body:
            if isinstance(method, Function) and method.name not in seen:
                seen.add(method.name)
                yield method
