"""What was told of the steps of a session: in the journal, from where it is read to be shown."""

import contextlib
from array import array
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pytest

from pytest_orchestrator.plugin.blocks import key_of
from pytest_orchestrator.plugin.state import state_of

Block = dict[str, Any]


class _OfRecipe:
    """What was told of one run of a recipe.

    Attributes:
        lines: Where lines of the journal begin; of those on one step the last counts.
        unkept: Blocks that the journal does not have, by the name of the step.
    """

    __slots__ = ("lines", "unkept")

    def __init__(self) -> None:
        self.lines = array("Q")
        self.unkept: dict[str, Block] = {}


class Ledger(Mapping[str, list[Block]]):
    """The blocks of each run of a recipe, in the order of its steps.

    They are read whenever somebody asks, so that many recipes are never held at once.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._state = state_of(config)
        self._recipes: dict[str, _OfRecipe] = {}

    def keep(self, block: Block) -> None:
        """Take note of what was told of a step."""
        key, name = key_of(block), block["step"]["name"]
        recipe = self._recipes.setdefault(key, _OfRecipe())
        line = self._state.lines.take(key, name) if self._state.lines else None
        if line is None:
            recipe.unkept[name] = block
        else:
            recipe.lines.append(line)
            recipe.unkept.pop(name, None)

    def __getitem__(self, key: str) -> list[Block]:
        recipe = self._recipes[key]
        read = self._read(recipe.lines)
        steps = {block["step"]["name"]: block for block in read} | recipe.unkept
        return sorted(steps.values(), key=lambda block: int(block["step"]["index"]))

    def _read(self, lines: Iterable[int]) -> Iterator[Block]:
        from pytest_orchestrator.runs.journal.chain import JournalDamaged

        journal = self._state.lines
        if journal is None:
            return
        for line in lines:
            with contextlib.suppress(JournalDamaged, OSError):  # the session says that it is
                yield journal.at(line).block

    def __iter__(self) -> Iterator[str]:
        return iter(self._recipes)

    def __len__(self) -> int:
        return len(self._recipes)
