"""Tiers of tests: the gate runs some cases of a parametrized test, the long tier all of them."""

from collections.abc import Iterable
from typing import Any

import pytest


def kept_first(cases: Iterable[Any], *kept: Any) -> list[Any]:
    """Return the kept cases, then all others with the marker `nightly`.

    Coverage is measured for the first case of a test, so that must be one that the gate runs.
    """
    others = [case for case in cases if case not in kept]
    return [*kept, *(pytest.param(case, marks=pytest.mark.nightly) for case in others)]
