"""Fixtures of the engine's tests, which tests of addons use too."""

from tests.execution.conftest import bench, slot

__all__ = ["bench", "slot"]
