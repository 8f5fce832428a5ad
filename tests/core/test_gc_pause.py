"""Pause of the garbage collector while modules are imported."""

from __future__ import annotations

import gc
import weakref

import pytest

from pytest_orchestrator.core.files import gc_paused_for_imports


class _Node:
    """Object that refers to itself, so only the garbage collector frees it."""

    def __init__(self) -> None:
        self.own = self


@pytest.mark.usefixtures("thawed")
def test_objects_made_in_the_pause_are_old_and_are_still_collected() -> None:
    with gc_paused_for_imports():
        assert not gc.isenabled()
        node = _Node()

    assert gc.isenabled()
    assert any(one is node for one in gc.get_objects(generation=2))
    assert gc.get_freeze_count() == 0
    end = weakref.ref(node)
    del node
    gc.collect()
    assert end() is None


@pytest.mark.usefixtures("thawed")
def test_objects_that_are_frozen_stay_frozen() -> None:
    gc.freeze()
    with gc_paused_for_imports():
        pass

    assert gc.get_freeze_count() > 0
