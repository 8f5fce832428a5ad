"""Flags for files that are opened without a buffer, as far as this system has them."""

import os
from typing import Final

READ: Final[int] = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
"""To read bytes, in this process alone."""

READ_FILE: Final[int] = READ | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
"""The same, of what has this very name, and without waiting for the other end of a pipe."""
