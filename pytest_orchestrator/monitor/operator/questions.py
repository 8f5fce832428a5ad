"""Open questions of the runs, for all operator pages of a monitor, and the pages' lease."""

import hashlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from pytest_orchestrator.core.files import content
from pytest_orchestrator.monitor.run_cache import RunCache, RunView
from pytest_orchestrator.runs.folder import RunFile, is_run
from pytest_orchestrator.runs.journal.writer import NAME, is_being_written
from pytest_orchestrator.runs.operator import page_lease
from pytest_orchestrator.runs.operator.channel import (
    FILE,
    Answering,
    ChannelClosed,
    Look,
    Reply,
    ShownQuestion,
    request,
)

_KEPT: Final = 0.4
"""Seconds for which the questions of a run are kept, so that many pages ask a session no more."""

_RENEWED: Final = 1.0
_MAX_PICTURE: Final = 16 << 20
_PICTURES: Final = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".gif": "image/gif",
    ".webp": "image/webp",
    ".svg": "image/svg+xml",
}


class Questions:
    """Open questions of the runs of a folder.

    Args:
        runs: The runs.
    """

    def __init__(self, runs: RunCache) -> None:
        self._runs = runs
        self._lock = threading.Lock()
        self._looked_at, self._asking = 0.0, ""
        self._renewed = 0.0
        self._read_at, self._of, self._open = 0.0, "", ()

    _open: tuple[ShownQuestion, ...]

    def renew_lease(self) -> None:
        """Note that an operator page is connected; sessions then wait for its answers."""
        with self._lock:
            if time.monotonic() - self._renewed < _RENEWED:
                return
            self._renewed = time.monotonic()
        page_lease.renew(self._runs.base)

    def shown_run(self) -> str:
        """Return the id of the run that the page shows: the newest that asks, else the newest.

        A session without a terminal waits as long as a page is connected, so a question must not
        disappear because another session has started.

        Returns:
            The id; empty if there is no run.
        """
        with self._lock:
            if time.monotonic() - self._looked_at > _KEPT:
                self._asking = max(self._asking_runs(), default="")
                self._looked_at = time.monotonic()
            return self._asking or self._runs.newest()

    def _asking_runs(self) -> Iterator[str]:
        for file in self._runs.base.glob(f"*/{FILE}"):
            folder = file.parent
            if is_run(folder) and not folder.is_symlink() and is_being_written(folder / NAME):
                yield folder.name

    def of(self, view: RunView) -> tuple[ShownQuestion, ...]:
        """Return the open questions of a run; none if its session cannot be reached.

        Args:
            view: The run.
        """
        if view.record.state != "running" or not any(
            step.state == "asks" for step in view.record.steps
        ):
            return ()
        with self._lock:
            run = view.folder.name
            if run != self._of or time.monotonic() - self._read_at > _KEPT:
                self._of, self._open = run, _read(view.folder)
                self._read_at = time.monotonic()
            return self._open

    def answer(self, folder: Path, answer: Answering) -> Reply:
        """Send an answer to the session of a run, and return its reply.

        Args:
            folder: The folder of the run.
            answer: The answer.
        """
        try:
            return request(folder, answer)
        except ChannelClosed as error:
            return Reply(refusal=f"the question is not open any more: {error}")
        finally:
            self._read_at = 0.0


def _read(folder: Path) -> tuple[ShownQuestion, ...]:
    try:
        return request(folder, Look()).questions
    except ChannelClosed:
        return ()


def public_key(question: ShownQuestion) -> str:
    """Return a name of a question for URLs and elements, which does not give its nonce away."""
    return hashlib.sha256(question.nonce.encode()).hexdigest()[:16]


def picture(view: RunView, question: ShownQuestion) -> tuple[bytes, str] | None:
    """Return the picture of a question with its media type.

    Args:
        view: The run.
        question: An open question of it.

    Returns:
        None if the question has no picture, or its path leads out of the rootdir, or the file is
        no picture, or is too large.
    """
    image, started = question.asked.question.image, view.record.started
    kind = _PICTURES.get(Path(image or "").suffix.lower())
    path = RunFile(image).inside(Path(started.root)) if started and kind else None
    try:
        return None if path is None or kind is None else (content(path, _MAX_PICTURE), kind)
    except OSError:
        return None
