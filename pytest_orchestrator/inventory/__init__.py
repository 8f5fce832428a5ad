"""What scriptlets a project has, found by reading: nothing is imported or run."""

from pytest_orchestrator.inventory.listing import as_json, as_text
from pytest_orchestrator.inventory.model import Inventory, Note, Param, Scriptlet, Use
from pytest_orchestrator.inventory.search import take

__all__ = ["Inventory", "Note", "Param", "Scriptlet", "Use", "as_json", "as_text", "take"]
