"""A value that most never ask for."""

from collections.abc import Callable
from functools import cache
from typing import Any


class Late:
    """A value that is worked out when it is asked for, and once.

    Attributes:
        value: Returns it.
    """

    def __init__(self, value: Callable[[], Any]) -> None:
        self.value = cache(value)
