"""Formats in which a run can be exported: a module each, with two members.

A new format is a module of this package and an entry in `FORMATS`.
"""

from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Final, Protocol, cast

from pytest_orchestrator.core.errors import OrchestratorError
from pytest_orchestrator.runs.record import RunRecord

FORMATS: Final = ("ctrf", "otel", "allure")
"""Names of the formats, which are also those of their modules and of the options."""


class ExportError(OrchestratorError):
    """Error: a run cannot be exported; the text has no secret."""

    slug = "export"


class Exporter(Protocol):
    """Interface of a module of a format."""

    TITLE: str
    """Name of the format, as messages show it."""

    def export(self, run: RunRecord, folder: Path, target: str) -> str:
        """Export a run.

        Args:
            run: The run.
            folder: Its folder.
            target: A file, a folder or an address, as the format needs it; may be empty for an
                address, which the environment then names.

        Returns:
            One line that says what was written where.

        Raises:
            ExportError: The run cannot be exported.
            OSError: A file cannot be written.
        """


def export(name: str, run: RunRecord, folder: Path, target: str) -> str:
    """Export a run in one format; import its module first.

    Args:
        name: One of `FORMATS`.
        run: The run.
        folder: Its folder.
        target: As for `Exporter.export`.

    Returns:
        One line that says what was written where.

    Raises:
        ExportError: The run cannot be exported, or a library is not installed.
    """
    exporter = cast("Exporter", import_module(f"{__package__}.{name}"))
    try:
        return exporter.export(run, folder, target)
    except OSError as error:
        raise ExportError(f"{exporter.TITLE}: {target}: {error.strerror or error}") from None
    except ExportError as error:
        raise ExportError(f"{exporter.TITLE}: {error}") from None


def problems(run: RunRecord, folder: Path, targets: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Export a run in several formats; yield the name and a line for each export that failed.

    Args:
        run: The run.
        folder: Its folder.
        targets: The target of each format, by name.
    """
    for name, target in targets.items():
        try:
            export(name, run, folder, target)
        except ExportError as error:
            yield name, str(error)
