"""Which items stay on one worker of pytest-xdist: all of a recipe, and tests that ask for it.

Tests that ask for a recipe by a marker go where its steps go. Workers know which tests
these are and the scheduler does not, so the first worker that has collected writes them
to a file that the controller named.
"""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from pytest_orchestrator.plugin.claims import SUFFIXES
from pytest_orchestrator.plugin.state import state_of

INPUT = "orchestrator_groups"
"""What the path of the file is called in the input of a worker."""


def tell(session: pytest.Session) -> None:
    """On a worker: write down which recipes there are, and which items are kept together."""
    from pytest_orchestrator.plugin import upstream
    from pytest_orchestrator.plugin.needs import NEEDS, Needs

    target = getattr(session.config, "workerinput", {}).get(INPUT)
    if target is None:
        return
    runs = state_of(session.config).runs.values()
    known = [item.stash.get(NEEDS, None) for item in session.items]
    used = [needs.used for needs in known if isinstance(needs, Needs)]
    together = upstream.together(runs, used)
    groups = {}
    for item in session.items:
        needs = item.stash.get(NEEDS, None)
        group = needs.run.recipe.id if isinstance(needs, Needs) else _group_of(item)
        group = group or recipe_of(item.nodeid)
        if group and (group in together or group != recipe_of(item.nodeid)):
            groups[item.nodeid] = together.get(group, group)
    if (groups or runs) and Path(target).parent.is_dir():
        partial = Path(f"{target}.{os.getpid()}")
        told = {"groups": groups, "recipes": list(dict.fromkeys(run.recipe.id for run in runs))}
        partial.write_text(json.dumps(told), encoding="utf-8")
        partial.replace(target)


def _group_of(item: pytest.Item) -> str:
    """Return the group of a test where ``--dist loadgroup`` is on, else nothing.

    xdist writes it into node ids, which pytest 9.2 does not let it do (pytest-xdist#1386).
    """
    if not getattr(item.config.option, "loadgroup", False):
        return ""
    marks = item.iter_markers("xdist_group")
    names = {str(next(iter((*mark.args, *mark.kwargs.values())), "default")) for mark in marks}
    return f"group {'_'.join(sorted(names))}" if names else ""


def told(file: Path) -> Any:
    """Return what a worker has written down; nothing where it has nothing to do with recipes."""
    return json.loads(file.read_text("utf-8")) if file.exists() else {"groups": {}, "recipes": []}


def recipe_of(nodeid: str) -> str:
    """Return the path of the recipe that an item stands in; empty where it is no step."""
    file = nodeid.partition("::")[0]
    return file if file.endswith(SUFFIXES) else ""
