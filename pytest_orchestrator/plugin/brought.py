"""Types of steps that plugins have brought, as an inventory tells of scriptlets; no pytest here."""

import inspect
from collections.abc import Iterator
from pathlib import Path

from pytest_orchestrator.recipe.fields.extensions import CustomStep, Extensions, own_keys
from pytest_orchestrator.recipe.fields.struct_fields import keys_of
from pytest_orchestrator.scriptlets.docs import cleaned
from pytest_orchestrator.scriptlets.model import Inventory, Param, Scriptlet


def with_types(inventory: Inventory, known: Extensions) -> Inventory:
    """Return an inventory with the types of steps that plugins have brought at its end."""
    found = tuple(_types(known, inventory.root))
    return inventory._replace(scriptlets=inventory.scriptlets + found)


def _types(known: Extensions, root: Path) -> Iterator[Scriptlet]:
    for name, model in known.step_types.items():
        if issubclass(model, CustomStep):
            keys = keys_of(model)
            path = Path(model.file)
            yield Scriptlet(
                name,
                "type",
                path.relative_to(root).as_posix() if path.is_relative_to(root) else model.file,
                _line(model.kind),
                module=model.kind.__module__,
                summary=cleaned(model.kind.__doc__ or "").partition("\n")[0],
                params=tuple(
                    Param(
                        key,
                        required=keys[key].is_required,
                        type=None,
                        default=None,
                        has_default=False,
                        description=keys[key].said.description or "",
                    )
                    for key in own_keys(model)
                ),
            )


def _line(kind: type) -> int:
    try:
        return inspect.getsourcelines(kind)[1]
    except (OSError, TypeError):
        return 1
