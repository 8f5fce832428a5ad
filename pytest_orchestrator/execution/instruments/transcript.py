"""Transcript of a run: all exchanges with its instruments, from its folder or its bundle."""

import hashlib
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final, NamedTuple

from pytest_orchestrator.core.events import InstrumentExchange, InstrumentOpened, RunStarted
from pytest_orchestrator.runs.folder import RunFile
from pytest_orchestrator.runs.journal.chain import Chain, JournalDamaged
from pytest_orchestrator.runs.journal.reader import JournalParser
from pytest_orchestrator.runs.journal.writer import NAME
from pytest_orchestrator.runs.lookup import NoRun, find_run

_IN_BUNDLE: Final = "run/"
"""Folder of the run in a bundle."""

_CHUNK: Final = 1 << 20
_LARGEST: Final = 64 << 20
"""Bytes of one block that are read; a run records at most as many."""

_UNREADABLE: Final = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError)


class Transcript(NamedTuple):
    """The exchanges of a run with its instruments and devices.

    Attributes:
        run: Id of the run.
        exchanges: The exchanges, in the order in which each pytest process has sent them.
        opened: The first use of each instrument, by name.
        path: The folder of the run, or its bundle.
    """

    run: str
    exchanges: tuple[InstrumentExchange, ...]
    opened: dict[str, InstrumentOpened]
    path: Path

    def data(self, exchange: InstrumentExchange) -> bytes | None:
        """Return the bytes of an exchange; None if they are gone or were changed."""
        digest = exchange.data.rpartition("/")[2]
        try:
            with _opened(self.path, exchange.data) as file:
                found = file.read(_LARGEST + 1)
        except (OSError, KeyError, *_UNREADABLE):
            return None
        return found if hashlib.sha256(found).hexdigest() == digest else None


def load_transcript(base: Path, name: str, here: Path) -> Transcript:
    """Return the transcript of a run.

    Args:
        base: The folder of the runs of the project.
        name: The run as `runs.find_run` takes it, or the path of a bundle.
        here: The folder to which a path is relative.

    Raises:
        NoRun: There is no such run or bundle, it is damaged, or it has no exchange.
    """
    path = here / name
    is_path = path.is_file() or (path / NAME).is_file()
    path = path if is_path else find_run(base, name)
    if path.is_file() and not zipfile.is_zipfile(path):
        raise NoRun(f"{name} is no bundle; 'pytest-orchestrator report --bundle' makes one")
    run, exchanges, opened = path.stem, list[InstrumentExchange](), dict[str, InstrumentOpened]()
    try:
        for event in _events(path):
            match event:
                case InstrumentExchange():
                    exchanges.append(event)
                case InstrumentOpened():
                    opened.setdefault(event.instrument, event)
                case RunStarted():
                    run = event.run
    except JournalDamaged as error:
        raise NoRun(f"{name}: {error}; a changed transcript is not replayed") from None
    except KeyError:
        raise NoRun(f"{name} is no bundle of a run: it has no {_IN_BUNDLE}{NAME}") from None
    except (OSError, *_UNREADABLE) as error:
        raise NoRun(f"{name} cannot be read: {error}") from None
    if not exchanges:
        raise NoRun(f"run {run} has no exchange with an instrument")
    exchanges.sort(key=lambda one: (one.worker, one.order))
    return Transcript(run, tuple(exchanges), opened, path)


def _events(path: Path) -> Iterator[object]:
    """Yield the events of the journal in a run folder or bundle.

    Raises:
        JournalDamaged: The journal was changed.
    """
    parser = JournalParser(Chain(raw_blocks=True))
    with _opened(path, NAME) as file:
        while chunk := file.read(_CHUNK):
            yield from (entry.event for entry in parser.feed(chunk))
    parser.end()


@contextmanager
def _opened(path: Path, name: str) -> Iterator[IO[bytes]]:
    """Open a file of a run in its folder or bundle.

    Raises:
        OSError: It cannot be opened, or is no file of the run.
        KeyError: The bundle does not have it.
    """
    if not path.is_file():
        inside = RunFile(name).inside(path)
        if inside is None:
            raise FileNotFoundError(name)
        with inside.open("rb") as file:
            yield file
        return
    with zipfile.ZipFile(path) as archive, archive.open(_IN_BUNDLE + name) as file:
        yield file
