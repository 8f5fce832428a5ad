"""Extension of `--lf` to steps that a failed step has blocked.

pytest takes them for skipped, and would be green after `--lf` without them.
"""

import contextlib
import json
import os
from collections.abc import Collection, Generator

import pytest

from pytest_orchestrator.plugin.registered import Plugin

_KEY = "orchestrator/blocked"
_FAILED = "cache/lastfailed"


def widen(config: pytest.Config) -> None:
    """Make ``--lf`` select blocked steps too.

    pytest reads the cache file of failed items in its own configure hook, so this function
    changes the file earlier.
    """
    if hasattr(config, "workerinput"):
        return
    folder = config.rootpath / os.path.expandvars(config.getini("cache_dir")) / "v"
    with contextlib.suppress(OSError, ValueError, TypeError):
        blocked = json.loads((folder / _KEY).read_text(encoding="utf-8"))
        file = folder / "cache" / "lastfailed"
        known = json.loads(file.read_text(encoding="utf-8"))
        if known:  # else --lf selects everything
            file.write_text(json.dumps(known | dict.fromkeys(blocked, True)), encoding="utf-8")


class LastFailed(Plugin):
    """Plugin that stores the blocked steps in pytest's cache, and removes good sampled values.

    Args:
        config: The configuration of the session.
        good: The node ids of sampled values that stayed within their limits. They are no items,
            so pytest itself would never remove them from its failed items.
    """

    def __init__(self, config: pytest.Config, good: Collection[str]) -> None:
        self._config = config
        self._good = good
        self._before: set[str] = set()
        self._blocked: set[str] | None = None

    def take(self, node: str, state: str) -> None:
        """Add a blocked step to the set of blocked steps; remove any other step from the set."""
        if state == "not run":
            return
        if self._blocked is None:
            cache = getattr(self._config, "cache", None)
            self._before = set() if cache is None else set(cache.get(_KEY, []))
            self._blocked = {*self._before}
        if state == "blocked":
            self._blocked.add(node)
        else:
            self._blocked.discard(node)

    @pytest.hookimpl(wrapper=True)
    def pytest_sessionfinish(self) -> Generator[None, object, object]:
        """Write the blocked steps to pytest's cache, after all steps are reported."""
        try:
            return (yield)
        finally:
            cache = getattr(self._config, "cache", None)
            if cache is not None and self._blocked is not None and self._blocked != self._before:
                cache.set(_KEY, sorted(self._blocked))
            if cache is not None and self._good:
                failed = cache.get(_FAILED, {})
                if failed.keys() & {*self._good}:
                    left = {node: True for node in failed if node not in self._good}
                    cache.set(_FAILED, left)
