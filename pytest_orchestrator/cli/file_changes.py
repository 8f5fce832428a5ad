"""Changes of the files of a project, from the notifications of the operating system."""

import threading
from collections.abc import Iterable
from pathlib import Path
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Self

from pytest_orchestrator.cli.arguments import UsageError
from pytest_orchestrator.execution.interruptible import InterruptibleEvent


class FileChanges:
    """Queue of the files below a folder that changed; a thread fills it, also while pytest runs.

    Caches, hidden folders of tools such as ``.git``, virtual environments and the temporary files
    of editors are left out.

    Args:
        root: The folder.
        ignored: Further folders to leave out, such as that of the runs.
    """

    def __init__(self, root: Path, ignored: Iterable[Path]) -> None:
        self._root, self._ignored = root, list(ignored)
        self._changes: SimpleQueue[set[Path] | Exception] = SimpleQueue()
        self._stop = InterruptibleEvent()
        self._thread = threading.Thread(target=self._follow, name="file changes", daemon=True)

    def __enter__(self) -> Self:
        """Start the thread."""
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        """Stop the thread."""
        self._stop.set()
        self._thread.join()

    def _follow(self) -> None:
        try:
            import watchfiles

            accepts = watchfiles.DefaultFilter(ignore_paths=self._ignored)
            for changes in watchfiles.watch(
                self._root,
                watch_filter=accepts,
                stop_event=self._stop,
                rust_timeout=500,
                raise_interrupt=False,
            ):
                self._changes.put({Path(path) for _, path in changes})
        except Exception as error:  # noqa: BLE001  # raised in the thread that waits
            self._changes.put(error)

    def wait(self) -> set[Path]:
        """Wait until files have changed, and return all that have changed since the last call.

        Raises:
            UsageError: The folder cannot be watched.
        """
        changed: set[Path] = set()
        one: set[Path] | Exception | None = self._changes.get()
        while one is not None:
            if isinstance(one, Exception):
                raise UsageError(f"{self._root} cannot be watched: {one}") from one
            changed |= one
            one = self._next()
        return changed

    def _next(self) -> set[Path] | Exception | None:
        try:
            return self._changes.get_nowait()
        except Empty:
            return None
