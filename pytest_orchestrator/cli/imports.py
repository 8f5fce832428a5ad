"""Whether what python steps name can be imported: tried in a process of its own."""

import json
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from pytest_orchestrator.recipe.analysis.dataflow import Finding
    from pytest_orchestrator.recipe.analysis.source_files import Sources
    from pytest_orchestrator.recipe.model.recipe import Recipe

# What modules print goes to stderr; the answer to where stdout was.
_PROBE = """
import importlib, json, os, sys, traceback
answer = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)
wanted, sys.path[:0] = json.loads(sys.argv[1]), json.loads(sys.argv[2])
told = {}
for module, names in wanted.items():
    try:
        found = importlib.import_module(module)
    except BaseException as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        told[module] = [type(error).__name__, str(error), last.filename, last.lineno]
        continue
    told[module] = [name for name in names if not hasattr(found, name)]
json.dump(told, answer)
answer.flush()
os._exit(0)
"""


def not_imported(
    recipe: "Recipe", sources: "Sources", known: "Collection[Finding]"
) -> "Iterator[Finding]":
    """Return what of a recipe cannot be imported, and was not found before."""
    from pytest_orchestrator.recipe.analysis.dataflow import finding
    from pytest_orchestrator.recipe.model.step import PythonStep

    told_of = {each.problem.place for each in known if each.severity == "error"}
    steps = [
        step
        for step in (*recipe.steps, *recipe.final)
        if isinstance(step, PythonStep)
        and not told_of
        & {step.at[key] for key in ("module", "class", "function") if key in step.at}
    ]
    wanted: dict[str, list[str]] = {}
    for step in steps:
        wanted.setdefault(step.module, []).append(step.class_ or step.function or "")
    told = _asked(wanted, sources) if wanted else {}
    for step in steps:
        answer = told.get(step.module, ["it ended the process", "", "", 0])
        name = step.class_ or step.function
        if len(answer) == 4 and isinstance(answer[3], int):
            why = ": ".join(str(part) for part in answer[:2] if part)
            head = f"module '{step.module}' cannot be imported: {why}"
            yield finding(recipe, step, "error", step.at["module"], head, _where(answer, sources))
        elif name in answer:
            kind = "class" if step.class_ else "function"
            head = f"module '{step.module}' has no {kind} '{name}'"
            yield finding(recipe, step, "error", step.at[kind], head)


def _where(answer: list[str | int], sources: "Sources") -> str:
    from pathlib import Path

    return f"{sources.shown(Path(str(answer[2])))}:{answer[3]}" if answer[2] else ""


def _asked(wanted: dict[str, list[str]], sources: "Sources") -> dict[str, list[str | int]]:
    """Import modules; return for each what went wrong, or the names that it does not have."""
    path = [str(folder) for folder in (*sources.folders, sources.root)]
    done = subprocess.run(
        [sys.executable, "-c", _PROBE, json.dumps(wanted), json.dumps(path)],
        cwd=sources.root,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        check=False,
    )
    told: dict[str, list[str | int]] = json.loads(done.stdout or b"{}")
    return told
