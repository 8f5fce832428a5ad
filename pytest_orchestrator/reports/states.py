"""The states of steps as people see them: a word, and a sign, since colour tells not everybody."""

from typing import Final

SIGNS: Final = {
    "passed": "✔",
    "failed": "✘",
    "error": "✘",
    "skipped": "○",
    "blocked": "⊘",
    "xfailed": "✔",
    "xpassed": "✔",
    "restored": "↺",
    "interrupted": "!",
    "running": "▶",
    "retrying": "↻",
    "locked": "◔",
    "waiting": "·",
    "not run": "·",
    "damaged": "!",
}

_LOOKS: Final = {
    "error": "failed",
    "xfailed": "passed",
    "xpassed": "passed",
    "restored": "passed",
    "damaged": "failed",
    "interrupted": "failed",
    "retrying": "running",
    "locked": "running",
}

_WORST: Final = ("failed", "running", "blocked", "skipped", "waiting", "passed")


def sign(state: str) -> str:
    """Return the sign of a state."""
    return SIGNS.get(state, "·")


def look(state: str) -> str:
    """Return which of six looks a state has: passed, failed, skipped, blocked, running, waiting."""
    found = _LOOKS.get(state, state)
    return found if found in _WORST else "waiting"
